import pathlib

logs = pathlib.Path(__file__).parent / "var"
logs.mkdir(exist_ok=True)
accesslog = str(logs / "access.log")
errorlog = str(logs / "error.log")
capture_output = True
enable_stdio_inheritance = True
loglevel = "debug"
workers = 2
