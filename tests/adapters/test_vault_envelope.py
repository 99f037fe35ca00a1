"""What is sealed opens where it was sealed, and nowhere else."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.vault.envelope import SubjectKey, Tampered, unwrap, wrap
from domain.ids import new_id
from domain.ports import PERSONAL, credential_context

TENANT, SUBJECT, CONNECTION = new_id(), new_id(), new_id()
DATA_KEY, MASTER_KEY = b"d" * 32, b"m" * 32


def key(tenant: UUID = TENANT, subject: UUID = SUBJECT, raw: bytes = DATA_KEY) -> SubjectKey:
    return SubjectKey(tenant, subject, raw)


@given(st.binary(max_size=2_000), st.text(max_size=40))
def test_what_was_sealed_comes_back_as_it_was(plaintext: bytes, context: str) -> None:
    assert key().open(context, key().seal(context, plaintext)) == plaintext


def test_the_same_text_never_seals_to_the_same_box() -> None:
    assert len({key().seal("c", b"secret") for _ in range(50)}) == 50


@pytest.mark.parametrize(
    "other",
    [key(tenant=new_id()), key(subject=new_id()), key(raw=b"e" * 32), key(tenant=SUBJECT, subject=TENANT)],
    ids=["another tenant", "another subject", "another data key", "tenant and subject swapped"],
)
def test_a_box_of_somebody_else_is_refused(other: SubjectKey) -> None:
    box = key().seal(credential_context(CONNECTION, 1), b"secret")
    with pytest.raises(Tampered):
        other.open(credential_context(CONNECTION, 1), box)


@pytest.mark.parametrize(
    "context",
    [credential_context(CONNECTION, 2), credential_context(new_id(), 1), PERSONAL, ""],
    ids=["another version", "another connection", "another purpose", "no purpose"],
)
def test_a_box_from_another_place_is_refused(context: str) -> None:
    box = key().seal(credential_context(CONNECTION, 1), b"secret")
    with pytest.raises(Tampered):
        key().open(context, box)


@given(st.data())
def test_a_box_with_any_bit_changed_is_refused(data: st.DataObject) -> None:
    box = bytearray(key().seal("c", b"a secret of some length"))
    at, bit = data.draw(st.integers(0, len(box) - 1)), data.draw(st.integers(0, 7))
    box[at] ^= 1 << bit
    with pytest.raises(Tampered):
        key().open("c", bytes(box))


@given(st.integers(0, 40))
def test_a_box_that_was_cut_off_is_refused(length: int) -> None:
    box = key().seal("c", b"a secret of some length")
    with pytest.raises(Tampered):
        key().open("c", box[: min(length, len(box) - 1)])


def test_a_wrapped_key_opens_for_its_own_tenant_subject_and_master_key_only() -> None:
    wrapped = wrap(MASTER_KEY, "k1", TENANT, SUBJECT, DATA_KEY)
    assert unwrap(MASTER_KEY, "k1", TENANT, SUBJECT, wrapped) == DATA_KEY
    for master, master_id, tenant, subject in (
        (b"n" * 32, "k1", TENANT, SUBJECT),
        (MASTER_KEY, "k2", TENANT, SUBJECT),
        (MASTER_KEY, "k1", new_id(), SUBJECT),
        (MASTER_KEY, "k1", TENANT, new_id()),
    ):
        with pytest.raises(Tampered):
            unwrap(master, master_id, tenant, subject, wrapped)


def test_a_sealed_box_is_no_wrapped_key() -> None:
    """A master key that wraps and a data key that seals bind to different things, even if the bytes were the same."""
    box = SubjectKey(TENANT, SUBJECT, MASTER_KEY).seal("k1", DATA_KEY)
    with pytest.raises(Tampered):
        unwrap(MASTER_KEY, "k1", TENANT, SUBJECT, box)


def test_a_digest_finds_a_value_again_in_its_context_and_under_its_key() -> None:
    mine = key().digest("email", b"ada@example.org")
    assert mine == key().digest("email", b"ada@example.org")
    others = {
        key().digest("email", b"eve@example.org"),
        key().digest("name", b"ada@example.org"),
        key(raw=b"e" * 32).digest("email", b"ada@example.org"),
    }
    assert mine not in others
    assert len(others) == 3


def test_an_opened_key_does_not_show_itself() -> None:
    assert repr(key()) == "SubjectKey(...)"
