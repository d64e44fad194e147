"""String formats as regular expressions, each a subset of what its standard allows.

They are narrower than the standards on purpose. Every validator accepts them, and none of them lets
a small model continue forever (a fraction of a second has at most six digits). February 29th is
excluded, because only some years have it.
"""

from __future__ import annotations

_YEAR = r"(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
_DAY = (
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_TIME = rf"{_CLOCK}:[0-5][0-9](?:\.[0-9]{{1,6}})?(?:Z|[+-]{_CLOCK})"
_DATE = rf"{_YEAR}-{_DAY}"
_N = "[0-9]{1,4}"
_HOURS = rf"T(?:{_N}H(?:{_N}M(?:{_N}S)?)?|{_N}M(?:{_N}S)?|{_N}S)"
_DAYS = rf"(?:{_N}D|{_N}M(?:{_N}D)?|{_N}Y(?:{_N}M(?:{_N}D)?)?)"
_LABEL = r"[a-z0-9]{1,20}(?:-[a-z0-9]{1,10}){0,2}"
_TOP = r"[a-z]{2,12}"
_HOST = rf"(?:{_LABEL}\.){{1,4}}{_TOP}"
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"(?:{_BYTE}\.){{3}}{_BYTE}"
_HEX4 = r"[0-9a-fA-F]{1,4}"
_IPV6 = (
    rf"(?:(?:{_HEX4}:){{7}}{_HEX4}"
    + "".join(rf"|(?:{_HEX4}:){{1,{n}}}(?::{_HEX4}){{1,{7 - n}}}" for n in range(1, 7))
    + rf"|::(?:{_HEX4}:){{0,6}}{_HEX4})"
)
_SEGMENT = r"[a-zA-Z0-9._~-]{1,40}"
_PATH = rf"(?:/{_SEGMENT}){{0,8}}/?"
_TAIL = rf"(?:\?[a-zA-Z0-9._~=&-]{{1,80}})?(?:#{_SEGMENT})?"
_URI = rf"(?:https?|ftp)://{_HOST}(?::[1-9][0-9]{{1,3}})?{_PATH}{_TAIL}"
_MAILBOX = r"[a-zA-Z0-9](?:[a-zA-Z0-9_+-]{0,30}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9]{1,20}){0,2}"
_EMAIL = rf"{_MAILBOX}@{_HOST}"
_POINTER = r"(?:/[a-zA-Z0-9_-]{1,40}){0,8}"

FORMATS = {
    "date-time": rf"{_DATE}T{_TIME}",
    "date": _DATE,
    "time": _TIME,
    "duration": rf"P(?:{_DAYS}(?:{_HOURS})?|{_HOURS}|{_N}W)",
    "email": _EMAIL,
    "idn-email": _EMAIL,
    "hostname": _HOST,
    "idn-hostname": _HOST,
    "ipv4": _IPV4,
    "ipv6": _IPV6,
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    "uri": _URI,
    "iri": _URI,
    "uri-reference": rf"(?:{_URI}|(?:/{_SEGMENT}){{1,8}}/?{_TAIL})",
    "iri-reference": rf"(?:{_URI}|(?:/{_SEGMENT}){{1,8}}/?{_TAIL})",
    "uri-template": rf"{_URI}(?:/\{{[a-z]{{1,20}}\}})?",
    "json-pointer": _POINTER,
    "relative-json-pointer": rf"(?:0|[1-9]{{1,3}}){_POINTER}",
    "regex": r"[a-zA-Z0-9_ ]{0,40}",
}
"""Every format of JSON Schema's format vocabulary -> a regular expression for it."""
