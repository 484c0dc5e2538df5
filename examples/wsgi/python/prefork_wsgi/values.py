"""Values that gunicorn.config and gunicorn.util read alike."""
import inspect


def arity(function):
    """The number of positional parameters."""
    kinds = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    return sum(parameter.kind in kinds for parameter in inspect.signature(function).parameters.values())


def parse_address(netloc, default_port="8000"):
    """"HOST:PORT" and "tcp://" as (host, port), "unix:PATH" as the path, "fd://N" as the number."""
    if netloc.startswith("unix:"):
        return netloc[len("unix:"):].removeprefix("//")
    if netloc.startswith("fd://"):
        return int(netloc[len("fd://"):])
    host, bracket, port = netloc.removeprefix("tcp://").rpartition("]")
    if bracket:
        host, port = host.lstrip("["), port.lstrip(":")
    else:
        host, _, port = port.partition(":")
    port = port or str(default_port)
    if not port.isdecimal():
        raise RuntimeError(f"{port!r} is not a valid port number.")
    return host.lower() or "0.0.0.0", int(port)
