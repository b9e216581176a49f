"""CSV files as people and programs write them."""

from __future__ import annotations

import pytest
from callbridge_contacts.book import Card
from callbridge_contacts.csvs import read_csv
from callbridge_contacts.settings import Columns
from callbridge_contacts.text import decoded

GUESS = Columns()
AYSE = Card("Ayşe Yılmaz", "Örnek A.Ş.", "7", "VIP", ("0212 320 50 62",))


def read(text: str, columns: Columns = GUESS) -> list[Card]:
    return list(read_csv(text, columns))


@pytest.mark.parametrize("separator", [";", ",", "\t"])
def test_the_separator_is_found_out(separator: str) -> None:
    rows = [["No", "Ad Soyad", "Firma", "Telefon", "Not"], ["7", "Ayşe Yılmaz", "Örnek A.Ş.", "0212 320 50 62", "VIP"]]

    assert read("\n".join(separator.join(row) for row in rows)) == [AYSE]


def test_excel_may_name_the_separator_itself() -> None:
    assert read("sep=|\nAd Soyad|Telefon\nAyşe, Fatma; Ali|0212\n")[0].name == "Ayşe, Fatma; Ali"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1254", "utf-16"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_the_encoding_is_found_out(encoding: str, line_end: str) -> None:
    text = "No;Ad Soyad;Firma;Telefon;Not\n7;Ayşe Yılmaz;Örnek A.Ş.;0212 320 50 62;VIP\n"

    assert read(decoded(text.replace("\n", line_end).encode(encoding))) == [AYSE]


@pytest.mark.parametrize(
    ("heading", "row", "card"),
    [
        ("AD SOYAD;ŞİRKET ADI;CEP TELEFONU", "Ayşe;Örnek;0532", Card("Ayşe", "Örnek", None, None, ("0532",))),
        ("Adı;Soyadı;Tel;GSM", "Ayşe;Yılmaz;0212;0532", Card("Ayşe Yılmaz", None, None, None, ("0212", "0532"))),
        ("Cari Kodu;Cari Ünvanı;Telefon 1;Telefon2;Faks",
         "C7;Örnek;0212;0216;0999", Card("Örnek", None, "C7", None, ("0212", "0216"))),
        ("First Name,Last Name,Company,Business Phone,Mobile Phone,Business Fax,Notes".replace(",", ";"),
         "Ayşe;Yılmaz;Örnek;0212;0532;0999;n", Card("Ayşe Yılmaz", "Örnek", None, "n", ("0212", "0532"))),
        ("Name;Given Name;Family Name;Organization Name;Phone 1 - Label;Phone 1 - Value;Phone 2 - Value",
         "x;Ayşe;Yılmaz;Örnek;Mobile;0532;0533", Card("Ayşe Yılmaz", "Örnek", None, None, ("0532", "0533"))),
        ("name;number", "Ayşe;0212", Card("Ayşe", None, None, None, ("0212",))),
        ("Otel Adı;Vergi Numarası;İsim;Telefon No", "Otel;123;Ayşe;0212", Card("Ayşe", None, None, None, ("0212",))),
        ("Müşteri No;İsim;Açıklama;WhatsApp", "7;Ayşe;n;0532", Card("Ayşe", None, "7", "n", ("0532",))),
    ],
)  # fmt: skip
def test_the_columns_are_guessed_from_turkish_and_english_headings(heading: str, row: str, card: Card) -> None:
    assert read(f"{heading}\n{row}\n") == [card]


def test_the_columns_can_be_named_in_any_case_and_what_is_left_out_is_guessed() -> None:
    columns = Columns.model_validate(
        {"name": ["Vorname", "Nachname"], "company": "BETRIEB", "phone": ["Ruf 1", "ruf 2"], "id": "Nr"}
    )
    text = "Nr;Vorname;Nachname;Betrieb;Ruf 1;Ruf 2;Notes\n7;Ayşe;Yılmaz;Örnek A.Ş.;0212 320 50 62;;VIP\n"

    assert read(text, columns) == [AYSE]


@pytest.mark.parametrize(
    ("text", "columns", "words"),
    [
        ("Ad Soyad;Adres\nAyşe;İstanbul\n", GUESS, "columns.phone`; they are: Ad Soyad, Adres"),
        ("Adres;Telefon\nİstanbul;0212\n", GUESS, "columns.name`; they are: Adres, Telefon"),
        ("Ad;Telefon\n", Columns(company="Firma"), 'no column "Firma".*its columns are: Ad, Telefon'),
        ("", GUESS, "they are: none"),
        ('Ad;Telefon\nAyşe;"0212', GUESS, "it is not complete"),
        ("Ad;Telefon\n" + '"' + "x" * 200_000, GUESS, "not complete|no CSV"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_words(text: str, columns: Columns, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(text, columns)


def test_rows_may_be_empty_short_or_without_a_name_and_quotes_may_stand_anywhere() -> None:
    text = '\n\nAd Soyad;Firma;Telefon\n;;\n\nAyşe\n;Örnek;0212\n;;0216\n"Ali "Baba"" ;"a;b\nc";0532\n'

    assert [(card.name, card.company, card.phones) for card in read(text)] == [
        ("Ayşe", None, ()),
        ("Örnek", None, ("0212",)),
        ('Ali Baba""', "a;b c", ("0532",)),
    ]
