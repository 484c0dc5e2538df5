#!/usr/bin/env python3
"""Make manual pages in man(7).

page.py header HEADER VERSION   the section 3 page of a public header
page.py aliases HEADER          the functions of a header that need an alias of its page, one per line
page.py scdoc PROGRAM           standard input through scdoc, in short lines and without its empty paragraphs

A header is the only source of its page: its first comment is NAME and DESCRIPTION, each "/**" comment documents the
declarations up to the next empty line. In comments, `x` is code, *x* emphasis; a list is a word, two spaces, text.
"""
import os
import pathlib
import re
import subprocess
import sys
import textwrap
import time

COMMENT = re.compile(r"/\*\*?(.*?)\*/[ \t]*$", re.S | re.M)
INLINE = re.compile(r"`(?P<code>[^`\n]+)`|\*(?P<stress>\w[\w ]*)\*(?!\w)"
                    r"|(?P<function>\b[a-z]\w*)\((?P<section>\d?)\)"
                    r"|(?P<constant>-?\b(?:E[A-Z0-9]{3,}|PREFORK_[A-Z0-9_]+|NULL)\b)"
                    r"|<(?P<header>prefork/\w+\.h)>")
ITEM = re.compile(r"(-?\S+(?:,? (?:or )?\S+)?)  +(\S.*)")
WIDTH = 65  # of code: 80 columns without the indentation of man and of an example


def escaped(text):
    return text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga").replace("^", "\\(ha").replace("~", "\\(ti")


def prose_escaped(text):
    return text.replace("\\", "\\e").replace("`", "\\(ga").replace("^", "\\(ha").replace("~", "\\(ti")


def marked(match):
    if match["code"]:
        return f"\\fI{escaped(match['code'])}\\fP"
    if match["stress"]:
        return f"\\fI{match['stress']}\\fP"
    if match["header"]:
        return f"\\fI<{match['header']}>\\fP"
    if match["function"]:
        return f"\\fB{match['function']}\\fP({match['section']})"
    return f"\\fB{escaped(match['constant'])}\\fP"


def filled(text):
    """Text in lines of at most 78 characters, none of which is read as a macro."""
    lines = textwrap.wrap(text, 78, break_long_words=False, break_on_hyphens=False)
    return "\n".join("\\&" + line if line[0] in ".'" else line for line in lines)


def inline(text):
    """Text with fonts, in lines of at most 78 characters that no macro begins."""
    parts, at = [], 0
    for match in INLINE.finditer(text):
        parts += [prose_escaped(text[at:match.start()]), marked(match)]
        at = match.end()
    text = "".join(parts) + prose_escaped(text[at:])
    return filled(text)


def plain(comment):
    """The text of a comment without its asterisks and its common indentation."""
    lines = [re.sub(r"^\s*\* ?", "", line).rstrip() for line in comment.strip().splitlines()]
    indents = [len(line) - len(line.lstrip()) for line in lines[1:] if line]
    cut = min(indents, default=0)
    return "\n".join(lines[:1] + [line[cut:] if line else "" for line in lines[1:]])


def literal(text):
    lines = [escaped(line) for line in textwrap.dedent(text.expandtabs(8)).splitlines()]
    return ".RS 4\n.nf\n" + "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in lines) + "\n.fi\n.RE"


def items(lines):
    """The items of a list, (term, text); None for what is no list."""
    found = []
    for line in lines:
        item = ITEM.match(line.strip())
        indent = len(line) - len(line.lstrip())
        if item and (not found or indent <= found[0][2]):
            found.append([item[1], item[2], indent])
        elif found and indent > found[0][2]:
            found[-1][1] += " " + line.strip()
        else:
            return None
    return [(term, text) for term, text, _ in found]


def term(text):
    return f"\\fB{escaped(text)}\\fP" if re.match(r"[\w-]+$", text) else inline(text)


def tagged(pairs):
    return "\n".join(f".TP\n{term(name)}\n{inline(text)}" for name, text in pairs)


def paragraph(lines):
    """Text, and the lists in it, which may begin after a line of text."""
    parts, text = [], []
    at = 0
    while at < len(lines):
        end = at
        while end < len(lines) and (ITEM.match(lines[end].strip()) or (end > at and lines[end].startswith(" "))):
            end += 1
        found = items(lines[at:end]) if end > at and (end - at > 1 or lines[at].startswith(" ")) else None
        if found is None:
            text.append(lines[at].strip())
            at += 1
            continue
        if text:
            parts.append(".PP\n" + inline(" ".join(text)))
            text = []
        parts.append(tagged(found))
        at = end
    if text:
        parts.append(".PP\n" + inline(" ".join(text)))
    return "\n".join(parts)


def prose(text):
    """Paragraphs of a comment; an indented one without a list in it is an example."""
    parts = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        lines = block.splitlines()
        if all(line.startswith("    ") for line in lines) and items(lines) is None:
            parts.append(".PP\n" + literal(block))
        else:
            parts.append(paragraph(lines))
    return re.sub(r"\A\.PP\n", "", "\n".join(parts))


def split_parameters(text):
    depth, part, parts = 0, "", []
    for char in text:
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(part.strip())
            part = ""
        else:
            part += char
    return parts + [part.strip()]


def wrapped(declaration, indent=0):
    """A declaration in lines of at most WIDTH columns."""
    text = " ".join(declaration.split())
    if indent + len(text) <= WIDTH or not text.rstrip(";,").endswith(")"):
        return text
    body = text.rstrip(";,")
    tail, depth, opening = text[len(body):], 0, len(body)
    while True:  # the last parenthesis that is not inside another one
        opening -= 1
        depth += (body[opening] == ")") - (body[opening] == "(")
        if depth == 0:
            break
    head, parameters = body[:opening + 1], split_parameters(body[opening + 1:-1])
    column = indent + len(head)
    if column + max(map(len, parameters)) + len(tail) + 1 > WIDTH:
        column = indent + 4
        head += "\n" + " " * column
    lines, line = [], ""
    for number, parameter in enumerate(parameters):
        last = number == len(parameters) - 1
        parameter = wrapped(parameter, column) + (")" + tail if last else ",")
        if line and column + len(line) + 1 + len(parameter) > WIDTH:
            lines.append(line)
            line = ""
        line += (" " if line else "") + parameter
    return head + ("\n" + " " * column).join(lines + [line])


def prototype(declaration):
    text = wrapped(declaration)
    text = re.sub(r"(?<=[ *])(\w+)(?=[,)\[])", "\1\\1\2", text)  # parameters are in italics, the rest is bold
    lines = [escaped(line).replace("\1", "\\fI").replace("\2", "\\fB") for line in text.splitlines()]
    return "\n".join(f"\\fB{line}\\fP" for line in lines)


def declarations(code):
    """The C that users see: without the guard, C++ and our own marks."""
    code = re.sub(r"^#ifdef __cplusplus\n.*?^#endif\n", "", code, flags=re.S | re.M)
    return re.sub(r"PREFORK_API |\s*PREFORK_PRINTF\([^)]*\)", "", code)


def entries(text):
    """(comment, code) for each documented group, in the order of the header."""
    marks = list(COMMENT.finditer(text))
    blocks = [mark for mark in marks if mark.start() == 0 or text[mark.start() - 1] == "\n"]
    before = ""
    for mark in blocks:
        code = text[mark.end():].lstrip("\n")
        comment = before + plain(mark.group(1))
        before = ""
        if code.startswith("/*"):  # about the next and those after it, each with a comment of its own
            before = comment + "\n\n"
            continue
        # A declaration in braces goes to its "};", anything else to the next empty line.
        braces = re.match(r"(?:\w[^;{]*)\{.*?^\};\n", code, re.S | re.M)
        code = braces.group(0) if braces else re.split(r"\n\s*\n|\n/\*", code)[0]
        yield comment, code.rstrip()


def functions(code):
    """The functions that a group declares."""
    return list(dict.fromkeys(re.findall(r"\b(prefork_\w+)\(", code))) if "{" not in code and not code.startswith(
        ("typedef", "#")) else []


def type_name(code):
    found = (re.findall(r"^((?:struct|enum) \w+) *\{", code, re.M)[:1] or
             re.findall(r"^typedef .*?\b(prefork_\w+)\(", code, re.M | re.S)[:1] or
             re.findall(r"^#define (\w+(?:\([^)]*\))?)", code, re.M))
    return ", ".join(dict.fromkeys(found))


def member_name(code):
    line = code.strip().splitlines()[-1].strip()
    found = re.search(r"\(\*(\w+)\)|^#define (\w+)|^([A-Z][A-Z0-9_]+)\b|((?:\w+, )*\w+)(?:\[[^]]*\])?[;,]?$", line)
    return next(group for group in found.groups() if group) if found else line


def members(code):
    """(name, comment) of the members that have a comment behind them."""
    found, at, last = [], 0, None
    for mark in re.finditer(r"/\*(.*?)\*/", code, re.S):
        before = code[at:mark.start()]
        text = " ".join(re.sub(r"^\s*\*|\*\s*$", "", line).strip() for line in mark[1].splitlines())
        text = text.strip()
        if before.strip():
            last = member_name(before)
            found.append([last, text])
        elif found:
            found[-1][1] += " " + text
        at = mark.end()
    return found


def bare(code):
    """Code without its comments, in WIDTH columns."""
    code = re.sub(r"[ \t]*/\*.*?\*/", "", code, flags=re.S)
    code = re.sub(r",\n\s+(?=\S)", ", ", code) if "(*" in code or "typedef" in code else code
    lines = []
    for line in code.splitlines():
        if not line.strip():
            continue
        indent = 4 if line[0] in "\t " else 0
        lines += (" " * indent + wrapped(line, indent)).splitlines()
    return "\n".join(lines)


def since(comment):
    """A comment without its version, which HISTORY has, and that version."""
    match = re.search(r"\s*\bSince (\d+\.\d+)\.\s*$", comment)
    return (comment[:match.start()], match[1]) if match else (comment, None)


def without_preprocessor(text):
    """Text without directives, but for the public macros: a number, or the name and parameters of another macro."""
    def kept(match):
        name, parameters, value = match["name"], match["parameters"] or "", match["value"].strip()
        if name.endswith(("_H", "_")) or name in ("PREFORK_API", "PREFORK_PRINTF"):
            return ""
        number = re.match(r"\(?-?\d+\)?(?=\s|$)", value)
        comment = re.search(r"/\*.*?\*/", value)
        return f"#define {name}{parameters}" + (f" {number[0]}" if number else "") + (
            f" {comment[0]}" if comment else "") + "\n"
    text = re.sub(r"[ \t]*\\\n[ \t]*", " ", text)
    text = re.sub(r"^#[ \t]*(?!define)\w.*\n", lambda match: "" if "cplusplus" not in match[0] and "endif" not in match[0]
                  else match[0], text, flags=re.M)
    text = re.sub(r"^#define (?P<name>\w+)(?P<parameters>\([^)]*\))?(?P<value>.*)\n", kept, text, flags=re.M)
    return text


def parsed(path):
    text = path.read_text()
    first = COMMENT.search(text)
    title, _, description = plain(first.group(1)).partition("\n\n")
    body = declarations(without_preprocessor(text[first.end():]))
    body = re.sub(r"(?<=\n\n)(?=(?:enum|struct) \w+ \{)", "/** */\n", body)  # a type without a comment
    return " ".join(title.split()).partition(" -- ")[2].rstrip("."), description, [
        entry for entry in entries(body) if functions(entry[1]) or type_name(entry[1])]


def print_header(path, version):
    summary, description, groups = parsed(path)
    page = f"prefork_{path.stem}"
    library = f"libprefork-{path.stem}" if path.stem in ("http", "tls") else "libprefork"
    names = [name for _, code in groups for name in functions(code) if name != page]
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    date = time.strftime("%Y-%m-%d", time.gmtime(seconds))
    out = [f'.TH {page} 3 {date} "libprefork {version}" "libprefork manual"', ".nh", ".ad l", ".SH NAME",
           ", ".join([page] + names).replace("-", "\\-") + f" \\- {prose_escaped(summary)}",
           ".SH LIBRARY", f"{library} (\\fB\\-l{library[3:].replace('-', chr(92) + '-')}\\fP, pkg\\-config name "
           f"\\fI{library[3:].replace('-', chr(92) + '-')}\\fP)",
           ".SH SYNOPSIS", ".nf", f"\\fB#include <prefork/{path.name}>\\fP"]
    for _, code in groups:
        if functions(code):
            out.append(".PP")
            out += [prototype(one + ";") for one in re.sub(r"/\*.*?\*/", "", code, flags=re.S).split(";") if one.strip()]
    out.append(".fi")
    if description:
        out += [".SH DESCRIPTION", prose(description)]
    version_of = None
    for title, wanted in (("TYPES AND MACROS", False), ("FUNCTIONS", True)):
        chosen = [(comment, code) for comment, code in groups if bool(functions(code)) == wanted]
        if chosen:
            out.append(f".SH {title}")
        for comment, code in chosen:
            comment, version_of = since(comment)
            out.append(".SS " + (", ".join(f"{name}()" for name in functions(code)) if wanted else type_name(code)))
            if wanted:
                out.append(prose(comment))
            else:
                out += [literal(bare(code)), ".PP\n" + prose(comment) if comment.strip() else "", tagged(members(code))]
    if any(re.match(r"int ", code) for _, code in groups):
        out += [".SH RETURN VALUE", inline("Unless described otherwise, a function that returns int returns 0 on success. On error it "
                "returns a negative number, either a negated errno or one of the PREFORK_E values of prefork_error(3). "
                "prefork_error() returns the error message.")]
    out += [".SH HISTORY", inline(f"libprefork {version_of or version}.")]
    others = sorted(other.stem for other in path.parent.glob("*.h") if other.stem not in ("export", "prefork", path.stem))
    out += [".SH SEE ALSO"] + [f".BR prefork_{other} (3)," for other in others] + [".BR prefork (7)"]
    print("\n".join(line for line in out if line))


def print_scdoc(program):
    """What mandoc -Tlint warns about is changed, and .nh and .ad come after .TH, which resets them."""
    text = subprocess.run([program], stdin=sys.stdin, stdout=subprocess.PIPE, check=True, text=True).stdout
    lines = [line for line in text.splitlines() if not line.startswith('.\\"') and line not in (".nh", ".ad l")]
    kept, literal_text = [], False
    for number, line in enumerate(lines):
        following = (lines[number + 1:] + [".SH"])[0]
        if line == ".P" and (following.startswith((".P", ".SH", ".SS", ".RE", ".RS")) or
                             (kept and kept[-1].startswith((".SH", ".SS")))):
            continue
        literal_text = line == ".nf" or (literal_text and line != ".fi")
        kept.append(line if literal_text or line.startswith(".") else filled(line))
        if line.startswith(".TH"):
            kept += [".nh", ".ad l"]
    print("\n".join(kept))


def main():
    job, *arguments = sys.argv[1:]
    if job == "header":
        print_header(pathlib.Path(arguments[0]), arguments[1])
    elif job == "aliases":
        path = pathlib.Path(arguments[0])
        names = [name for _, code in parsed(path)[2] for name in functions(code)]
        print(*(name for name in names if name != f"prefork_{path.stem}"), sep="\n")
    else:
        print_scdoc(arguments[0])


main()
