import pytest

from minikin.api.access.key import Key, KeyLimits, digest, line_of, new_key, read_file, read_line
from minikin.errors import SetupError


def test_a_line_has_a_key_or_its_digest_and_limits(tmp_path):
    file = tmp_path / "keys"
    file.write_text(
        "# keys of the team\n\n"
        f"  plain \nsha256:{digest('other')} name=ci requests=6 tokens=70 concurrent=2\n"
        "third name=ops admin\r\n"
    )
    assert read_file(file) == [
        Key(digest=digest("plain")),
        Key(
            digest=digest("other"),
            name="ci",
            limits=KeyLimits(requests=6, tokens=70, concurrent=2),
        ),
        Key(digest=digest("third"), name="ops", is_admin=True),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "SECRET two", "SECRET name=", "SECRET name=a/b", "SECRET requests=0", "SECRET requests=x",
        "SECRET requests=-1", "SECRET requests=1 requests=2", "SECRET tokens=99999999999",
        "SECRET admin=no", "sha256:ABC12", "schlüssel", "SECRET role=admin", "SECRET =1",
    ],
)  # fmt: skip
def test_a_line_that_is_not_clear_is_an_error_without_its_text(line):
    with pytest.raises(SetupError) as caught:
        read_line(line, 3)
    assert "API key 3 is not valid" in caught.value.message
    assert line.split()[0].removeprefix("sha256:") not in caught.value.message


def test_a_new_key_matches_its_line_and_no_other_key():
    made = new_key()
    read = read_line(line_of(made, "ada", ["requests=5"]), 1)
    assert read.digest == digest(made)
    assert read.name == "ada"
    assert read.limits.requests == 5
    assert made not in line_of(made, "ada", [])
    assert new_key() != made


def test_a_hashed_key_keeps_the_owner_of_the_plain_one():
    assert read_line("secret", 1).owner == read_line(line_of("secret", "x", []), 1).owner
