"""Master keys: where they come from, what is refused, and how a running service learns of new ones."""

import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest

from adapters.settings import CannotStart
from adapters.vault.key_file import new_master_key
from adapters.vault.keyring import Keyring

A, B = new_master_key(), new_master_key()


def key_file(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "keys"
    path.write_text(text)
    path.chmod(mode)
    return path


def refused(setting: str | None, folder: Path = Path("/nonexistent")) -> str:
    with pytest.raises(CannotStart) as refusal:
        Keyring.open(setting, folder)
    line = str(refusal.value)
    assert "\n" not in line
    assert A not in line and A[:8] not in line
    return line


def test_the_first_key_of_the_list_is_current() -> None:
    keyring = Keyring(f"new:{B},old:{A}")
    assert (keyring.current, keyring.ids()) == ("new", ["new", "old"])
    assert keyring.key("old") != keyring.key("new")


@pytest.mark.parametrize("separator", [",", ", ", "\n", " ", ",\n"])
def test_entries_may_stand_in_lines_or_behind_commas(separator: str) -> None:
    assert Keyring(f"{separator.join([f'k2:{B}', f'k1:{A}'])}\n").ids() == ["k2", "k1"]


def test_base64_of_either_alphabet_and_without_padding_is_the_same_key() -> None:
    raw = bytes([0xFB, 0xFF] * 16)
    plain = b64encode(raw).decode()
    assert "+" in plain or "/" in plain
    keys = {
        Keyring(f"k1:{text}").key("k1")
        for text in (plain, plain.rstrip("="), plain.replace("+", "-").replace("/", "_"))
    }
    assert keys == {raw}


@pytest.mark.parametrize(
    "wrong",
    [
        A,
        f":{A}",
        f"k 1:{A}",
        f"ключ:{A}",
        f"{'k' * 33}:{A}",
        f"k1:{A[:-4]}",
        f"k1:{A}{A}",
        f"k1:!{A}",
        f"k1:{A[:20]}é{A[20:]}",
        f"k1:{A},k2",
        f"k1:{A},k1:{B}",
        "k1:",
        ",",
    ],
    ids=[
        "no id",
        "an empty id",
        "a space in the id",
        "letters of another script",
        "a long id",
        "a short key",
        "a long key",
        "a character that is not base64",
        "a key outside ASCII",
        "a second entry without a key",
        "the same id twice",
        "no key",
        "nothing at all",
    ],
)
def test_a_wrong_list_is_refused_in_one_line_without_the_key(wrong: str) -> None:
    assert "CAUSEWAY_MASTER_KEY" in refused(wrong)


def test_a_wrong_file_is_refused_by_its_name(tmp_path: Path) -> None:
    path = key_file(tmp_path, f"k1:{A} k2\n")
    assert str(path) in refused(f"file:{path}")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = key_file(tmp_path, "")
    path.write_bytes(b"k1:\xff\xfe")
    assert "something else than keys" in refused(f"file:{path}")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refused(f"file:{tmp_path / 'nowhere'}")
    assert "cannot be read" in refused(f"file:{tmp_path}")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_can_read_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = key_file(tmp_path, f"k1:{A}\n", mode)
    assert f"chmod 600 {path}" in refused(f"file:{path}")


def test_without_a_setting_a_key_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    first = Keyring.open(None, folder)
    path = first.path
    assert path is not None
    assert path.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert Keyring.open(None, folder).key("k1") == first.key("k1")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be made" in refused(None, tmp_path / "file" / "data")


def test_programs_that_start_at_the_same_moment_make_one_key(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from adapters.vault.keyring import Keyring\n"
        "sys.stdin.readline(); print(Keyring.open(None, Path(sys.argv[1])).key('k1').hex())"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, tmp_path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for _ in range(4)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = {process.communicate(timeout=30)[0] for process in started}
    assert len(told) == 1
    assert len(told.pop().strip()) == 64


def test_an_unknown_key_is_looked_for_in_the_file_again(tmp_path: Path) -> None:
    path = key_file(tmp_path, f"k1:{A}\n")
    keyring = Keyring(path)
    path.write_text(f"k1:{A}\nk2:{B}\n")
    assert keyring.key("k2") == Keyring(f"k2:{B}").key("k2")


def test_a_key_that_nobody_has_is_said_to_be_missing(tmp_path: Path) -> None:
    for keyring in (Keyring(f"k1:{A}"), Keyring(key_file(tmp_path, f"k1:{A}"))):
        with pytest.raises(LookupError, match="'k9' is not in CAUSEWAY_MASTER_KEY"):
            keyring.key("k9")


def test_what_is_wrapped_next_uses_the_key_that_is_first_in_the_file_by_then(tmp_path: Path) -> None:
    path = key_file(tmp_path, f"k1:{A}\n")
    keyring = Keyring(path)
    assert keyring.current == "k1"
    assert Keyring(path).add_key([]) == "k2"
    assert keyring.current == "k2"


@pytest.mark.parametrize("spoilt", ["", "k1", f"k1:{B}"], ids=["empty", "cut off", "another key under a known id"])
def test_a_file_that_went_wrong_changes_nothing_for_a_running_service(tmp_path: Path, spoilt: str) -> None:
    path = key_file(tmp_path, f"k1:{A}\n")
    keyring = Keyring(path)
    before = keyring.key("k1")
    path.write_text(spoilt)
    keyring.refresh()
    assert (keyring.current, keyring.key("k1")) == ("k1", before)
    with pytest.raises(CannotStart):
        keyring.reload()


def test_a_new_key_comes_in_front_under_an_id_that_was_never_used(tmp_path: Path) -> None:
    path = key_file(tmp_path, f"k1:{A}\nold:{B}\n")
    assert Keyring(path).add_key(["k1", "k2", "k3"]) == "k4"
    assert Keyring(path).ids() == ["k4", "k1", "old"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_of_two_programs_that_add_a_key_neither_loses_the_other_s(tmp_path: Path) -> None:
    path = key_file(tmp_path, f"k1:{A}\n")
    first, second = Keyring(path), Keyring(path)
    assert (first.add_key([]), second.add_key([])) == ("k2", "k3")
    assert Keyring(path).ids() == ["k3", "k2", "k1"]


def test_a_key_is_not_added_where_the_list_is_in_the_setting_itself() -> None:
    with pytest.raises(LookupError):
        Keyring(f"k1:{A}").add_key([])


def test_fingerprints_tell_keys_apart_without_telling_them() -> None:
    keyring = Keyring(f"k1:{A},k2:{B}")
    prints = keyring.fingerprints()
    assert prints == Keyring(f"k1:{A},k2:{B}").fingerprints()
    assert len({*prints.values(), keyring.key("k1"), keyring.key("k2")}) == 4
