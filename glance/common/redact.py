"""Making text fit for a log line: secrets masked, control characters visible.

Store drivers and clients get credentials inside URLs; whoever may log, report or
store such a URL passes it through ``mask_secrets``.
"""

import re

_MASK = "***"
# Up to the last @ of the word: a password may itself contain /, : and @.
_URL_PASSWORD = re.compile(r"(//[^\s/:@'\"<>]*):[^\s'\"<>]*@")
_TOKEN = re.compile(
    r"""(\bx-(?:auth|storage|service|subject)-token\b['"]?\s*[:=,]\s*(?:[ub]?['"])?)[^\s'",;)}\]]+""", re.IGNORECASE
)
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) != "\t"}
_CONTROL |= {ord("\n"): "\\n", ord("\r"): "\\r", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def mask_secrets(text: str) -> str:
    """Return ``text`` with the password of every ``//user:password@`` and every token header's value masked."""
    if "//" in text and "@" in text:
        text = _URL_PASSWORD.sub(rf"\1:{_MASK}@", text)
    if "oken" in text or "OKEN" in text:
        text = _TOKEN.sub(rf"\1{_MASK}", text)
    return text


def one_line(text: str) -> str:
    """Return ``text`` with line feeds and other control characters written as escapes: it cannot forge a line."""
    return text.translate(_CONTROL)
