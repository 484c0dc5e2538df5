"""Exceptions of gunicorn's parser, for code that catches them. prefork-wsgi refuses such requests before Python runs."""


class ParseException(Exception):
    pass


class NoMoreData(IOError):
    pass


class ConfigurationProblem(ParseException):
    pass


class InvalidRequestLine(ParseException):
    pass


class InvalidRequestMethod(ParseException):
    pass


class InvalidHTTPVersion(ParseException):
    pass


class InvalidHeader(ParseException):
    pass


class InvalidHeaderName(ParseException):
    pass


class LimitRequestLine(ParseException):
    pass


class LimitRequestHeaders(ParseException):
    pass


class InvalidProxyLine(ParseException):
    pass


class ForbiddenProxyRequest(ParseException):
    pass


class InvalidSchemeHeaders(ParseException):
    pass
