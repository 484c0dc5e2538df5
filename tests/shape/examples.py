#!/usr/bin/env python3
"""examples.py SOURCE BUILD CC...: every example in the documents is something that works.

```c       a whole program (it has a main) is compiled and linked, anything else compiled as a file that
           includes <prefork/prefork.h>; the README's first one is examples/echo/echo.c to the letter
```python  is compiled by Python
```ini     is a settings file: --check-config accepts it
```sh      passes bash -n; files of the tree that it calls exist and can be run; the arguments it gives to
           prefork-wsgi or ./echo are accepted by --check-config, as far as this build has the program
```text and ```console show output and are not looked at; a block without a language is an error.

Links, and paths in backquotes, must name files that exist.
"""
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
source, build, compiler = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]
PROGRAMS = {"prefork-wsgi": build / "examples/wsgi/prefork-wsgi", "./echo": build / "examples/echo/echo"}
complaints, counts = [], {}


def documents():
    names = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
    return [source / name for name in names] + sorted((source / "docs").rglob("*.md"))


def run(command, **more):
    """None when it succeeds, otherwise what it said."""
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, **more)
    return None if done.returncode == 0 else (done.stdout + done.stderr).strip() or f"status {done.returncode}"


def check_c(text, directory):
    path = directory / "example.c"
    whole = re.search(r"^int main\(", text, re.M)
    path.write_text(text if whole else "#include <prefork/prefork.h>\n" + text)
    tls = ["-lprefork-tls"] if "<prefork/tls.h>" in text else []  # which a build without OpenSSL does not have
    links = whole and (not tls or (build / "lib/libprefork-tls.so").exists())
    libs = ["-L", str(build / "lib"), *tls, "-lprefork-http", "-lprefork"] if links else ["-c"]
    return run([*compiler, "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function",
                "-Wno-unused-variable", "-Wno-unused-const-variable", "-I", str(source / "include"),
                "-Wl,--allow-shlib-undefined", str(path), "-o", str(directory / "example"), *libs])


def check_python(text, directory):
    try:
        compile(text, "example", "exec")
    except SyntaxError as error:
        return str(error)
    return None


def check_ini(text, directory):
    path = directory / "example.ini"
    path.write_text(text)
    program = PROGRAMS["./echo"]
    return run([program, "--config", path, "--check-config"]) if program.exists() else None


def check_sh(text, directory):
    said = run(["bash", "-n", "-c", text])
    if said:
        return said
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"\w+=\S*", words[0]):
            words = words[1:]
        if not words:
            continue
        path = source / words[0]
        if re.match(r"(\./)?(examples|tests|tools|\.ci)/", words[0]) and not os.access(path, os.X_OK):
            return f"{words[0]} cannot be run"
        program = PROGRAMS.get(words[0])
        if program and program.exists() and "--help" not in words:
            said = run([str(program), "--check-config", *words[1:]], cwd=source)
            if said:
                return f"{line}: {said}"
    return None


def manual_pages():
    """In the manual a block has no language: of [prefork] on it is a settings file, and of every line that
    begins with prefork-wsgi the flags are looked for in its --help."""
    program = PROGRAMS["prefork-wsgi"]
    if not program.exists():
        return
    known = set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", subprocess.run([program, "--help"], capture_output=True,
                                                                     text=True).stdout))
    for page in sorted((source / "docs/man").glob("*.scd")):
        for example in re.findall(r"^```\n(.*?)^```$", page.read_text(), re.M | re.S):
            counts["in manuals"] = counts.get("in manuals", 0) + 1
            if example.startswith("[prefork]"):
                with tempfile.NamedTemporaryFile("w", suffix=".ini") as file:
                    file.write(example)
                    file.flush()
                    reader = program if "wsgi_app" in example else PROGRAMS["./echo"]
                    said = run([reader, "--config", file.name, "--print-config"])
                    if said:
                        complaints.append(f"{page.name}: {said}")
            for line in re.findall(r"^(?:.*/)?prefork-wsgi (.*)$", example, re.M):
                for flag in re.findall(r"(?<!\S)--?[a-z][a-z-]*", line.split("&&")[0]):
                    if flag not in known:
                        complaints.append(f"{page.name}: prefork-wsgi has no {flag}: {line}")


def check_references(document, text):
    """Relative links, and paths of the tree in backquotes, name something that exists."""
    prose = BLOCK.sub("", text)
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", prose)
    missing = [link for link in links if not (document.parent / link).exists()]
    paths = re.findall(r"`((?:lib|tests|examples|include|docs|tools)/[\w./*-]+)", prose)
    missing += [path for path in paths if not any(source.glob(path.rstrip("/"))) and not any(source.glob(path + ".*"))]
    complaints.extend(f"{document.relative_to(source)}: there is no {name}" for name in missing)


CHECKS = {"c": check_c, "python": check_python, "ini": check_ini, "sh": check_sh}


def readme():
    """The order that the README promises."""
    blocks = BLOCK.findall((source / "README.md").read_text())
    shell = [text for language, text in blocks if language == "sh"]
    if [text.strip() for text in shell[:2]] != ["./examples/run", "./tests/run"]:
        complaints.append("README.md: its first sh blocks are ./examples/run and ./tests/run")
    programs = [text for language, text in blocks if language == "c"]
    if (source / "examples/echo").is_dir() and programs[:1] != [ (source / "examples/echo/echo.c").read_text()]:
        complaints.append("README.md: its first c block is not examples/echo/echo.c")


readme()
manual_pages()
with tempfile.TemporaryDirectory(prefix="examples-") as directory:
    for document in documents():
        text = document.read_text()
        check_references(document, text)
        for match in BLOCK.finditer(text):
            language, example = match.groups()
            line = text.count("\n", 0, match.start()) + 1
            where = f"{document.relative_to(source)}:{line}"
            counts[language] = counts.get(language, 0) + 1
            if language in CHECKS:
                said = CHECKS[language](example, pathlib.Path(directory))
                if said:
                    complaints.append(f"{where}: {said}")
            elif language not in ("text", "console"):
                complaints.append(f"{where}: an example in no language that is checked: '{language}'")
print(", ".join(f"{count} {language}" for language, count in sorted(counts.items())))
print("\n".join(complaints))
sys.exit(bool(complaints) or not counts)
