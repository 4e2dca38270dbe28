"""The JavaScript tokenizer and decoder as one classic script, for engines that load no modules."""

from __future__ import annotations

import re

from sqz_nlu.export.target import WEB

# Each imports only from those before it. They share one scope: no name at their top occurs twice.
_MODULES = "errors unicode normalizer labels viterbi decode regex patterns tokenizer codec bridge".split()
_IMPORT = re.compile(r"^import \{[^}]*\} from \"\./\w+\.js\";\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const)\b)", re.MULTILINE)


def classic_script() -> str:
    """A script that defines ``sqzNlu`` with the functions of ``bridge.js``: plain ECMAScript 2022."""
    sources = [(WEB / f"{name}.js").read_text("utf-8") for name in _MODULES]
    body = "\n".join(_EXPORT.sub("", _IMPORT.sub("", source)) for source in sources)
    return f'var sqzNlu = (() => {{\n"use strict";\n{body}\nreturn {{ load, encode, decode }};\n}})();\n'
