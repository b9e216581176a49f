"""vCards of all versions, as telephones and programs write them; vobject's are read as vobject means them."""

from __future__ import annotations

import pytest
import vobject
from callbridge_contacts.book import Card
from callbridge_contacts.text import decoded
from callbridge_contacts.vcards import read_vcards
from hypothesis import given, settings
from hypothesis import strategies as st


def read(text: str) -> list[Card]:
    return list(read_vcards(decoded(text.encode())))


def one(*lines: str) -> Card:
    """The contact of a card with these lines."""
    (card,) = read("\r\n".join(["BEGIN:VCARD", *lines, "END:VCARD", ""]))
    return card


AYSE = Card("Ayşe Yılmaz", "Örnek A.Ş.", "u7", "VIP\nsabah arar", ("0212 320 50 62", "+90 532 123 45 67"))


def test_version_2_1_with_quoted_printable() -> None:
    assert (
        one(
            "VERSION:2.1",
            "N;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:Y=C4=B1lmaz;Ay=C5=9Fe;;;",
            "FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:Ay=C5=9Fe =",
            "Y=C4=B1lmaz",
            "ORG;CHARSET=ISO-8859-9;ENCODING=QUOTED-PRINTABLE:=D6rnek A.=DE.;Sat=FD=FE",
            "TEL;WORK;VOICE:0212 320 50 62",
            "TEL;CELL:+90 532 123 45 67",
            "NOTE;ENCODING=QUOTED-PRINTABLE:VIP=0Asabah=",
            " arar",
            "PHOTO;ENCODING=BASE64;JPEG:/9j/4AAQSkZJRg==",
            "",
            "UID:u7",
        )
        == AYSE
    )


def test_version_3_0_with_folding_escapes_and_apples_groups() -> None:
    assert (
        one(
            "VERSION:3.0",
            "PRODID:-//Apple Inc.//iOS 17//EN",
            "N:Yılmaz;Ayşe;;;",
            "FN:Ayşe Yıl",
            " maz",
            "ORG:Örnek A.Ş.;Satış\\; Pazarlama",
            "item1.TEL;type=WORK;type=pref:0212 320 50 62",
            "item1.X-ABLabel:_$!<Work>!$_",
            'TEL;TYPE="CELL,VOICE":+90 532 123 45 67',
            "NOTE:VIP\\nsabah arar",
            "UID:u7",
        )
        == AYSE
    )


def test_version_4_0_with_numbers_as_uris() -> None:
    card = one(
        "VERSION:4.0",
        "KIND:individual",
        "FN;LANGUAGE=tr:Ayşe Yılmaz",
        'TEL;VALUE=uri;TYPE="work,voice:x";PREF=1:tel:+90-212-320-5062;ext=12',
        "UID:urn:uuid:4fbe8971",
    )

    assert card == Card("Ayşe Yılmaz", None, "urn:uuid:4fbe8971", None, ("tel:+90-212-320-5062;ext=12",))


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        (["N:Yılmaz;Ayşe;Nur;Dr.;"], "Ayşe Nur Yılmaz"),
        (["FN:", "N:;Ayşe;;;"], "Ayşe"),
        (["N:Yılmaz"], "Yılmaz"),
        (["N:;;;;", "ORG:Örnek A.Ş."], "Örnek A.Ş."),
        (["n:Yıl\\;maz;Ayşe"], "Ayşe Yıl;maz"),
    ],
)
def test_a_card_without_a_full_name_has_the_name_of_its_parts_or_of_the_company(lines: list[str], name: str) -> None:
    assert one("VERSION:3.0", *lines, "TEL:1").name == name


def test_the_card_of_an_agent_within_a_card_is_somebody_else() -> None:
    text = "BEGIN:VCARD\nFN:Ayşe\nAGENT:\nBEGIN:VCARD\nFN:Fatma\nTEL:2\nEND:VCARD\nTEL:1\nEND:VCARD\n"

    assert read(text) == [Card("Ayşe", None, None, None, ("1",))]


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "holds no vCard"), ("Ad;Telefon\n", "holds no vCard"), ("BEGIN:VCARD\nFN:Ayşe\nTEL:02", "not complete")],
)
def test_what_is_no_complete_vcard_is_said_in_words(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(text)


WORD = st.text("abcçşğıİöü XYZ;,\\:\"'=\n-+()0123456789", min_size=1, max_size=40).map(str.strip).filter(bool)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(name=WORD, family=WORD, company=WORD, note=WORD, phones=st.lists(WORD, max_size=3))
def test_what_vobject_writes_is_read_as_it_was_meant(
    name: str, family: str, company: str, note: str, phones: list[str]
) -> None:
    card = vobject.vCard()
    card.add("fn").value = name
    card.add("n").value = vobject.vcard.Name(family=family)
    card.add("org").value = [company, "Satış"]
    card.add("note").value = note
    for phone in phones:
        card.add("tel").value = phone
    (got,) = read(card.serialize())

    assert got.name == " ".join(name.split())
    assert got.company == " ".join(company.split())
    assert got.note == note
    assert got.phones == tuple(phones)
