"""Imports the modules that are in the program: a finder for sys.meta_path, with source lines for tracebacks."""
import importlib.machinery
import sys


class Importer:
    """Finder and loader at once (importlib.abc.MetaPathFinder, importlib.abc.InspectLoader)."""

    REPLACED = "gunicorn"  # this package may be installed, too

    def __init__(self, modules, source, report):
        self.modules = modules  # name: is it a package
        self.source = source  # source(name): its text
        self.report = report  # called with the place of an installed package that one of these is in place of

    def find_spec(self, name, path=None, target=None):
        if name not in self.modules:
            return None
        spec = importlib.machinery.ModuleSpec(name, self, origin=self.origin(name), is_package=self.modules[name])
        spec.has_location = True  # __file__, which tracebacks and linecache use
        return spec

    def origin(self, name):
        path = name.replace(".", "/")
        return f"<prefork-wsgi>/{path}/__init__.py" if self.modules[name] else f"<prefork-wsgi>/{path}.py"

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(self.get_code(module.__name__), module.__dict__)
        if module.__name__ == self.REPLACED:
            self.compare(module.__name__)

    def compare(self, name):
        spec = importlib.machinery.PathFinder.find_spec(name)
        if spec is not None and spec.origin is not None:
            self.report(name, spec.origin)

    def get_code(self, name):
        return compile(self.get_source(name), self.origin(name), "exec", dont_inherit=True)

    def get_source(self, name):
        return self.source(name)

    def is_package(self, name):
        return self.modules[name]


def install(modules, source, report):
    sys.meta_path.insert(0, Importer(modules, source, report))
