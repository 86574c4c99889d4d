"""Write the demo's contact list and what must become of it: `python dev/make_contacts.py`.

2,000 rows as a small shop's Excel saves them (UTF-8 with a mark, semicolons, CRLF), with
the damage such lists have. The expectations come from the plan below, never from the
importer. Always the same bytes.

The numbers are nobody's: Germany's are the ones the Bundesnetzagentur keeps free for
films (0176 040690 00-99); Brazil's and India's start with blocks of zeros. Nothing is
ever sent to them anyway: the demo talks to a simulator.
"""

import csv
import io
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
HEADER = ["Telefone", "Nome", "E-mail", "Etiquetas", "Data de opt-in", "Cidade", "Pedidos"]
PEOPLE = {"BR": 1300, "IN": 300, "DE": 100}
REFUSED = {
    "phone_scientific": 60,
    "phone_empty": 40,
    "phone_too_short": 30,
    "phone_letters": 15,
    "phone_two_numbers": 15,
    "phone_too_long": 10,
    "phone_signs": 5,
}
AGAIN = 125  # people who are in the file a second time, written differently
REFUSALS_OF_CONSENT = 12  # rows whose opt-in column says no
BLANK_LINES = 3

ARABIC, DEVANAGARI, WIDE = "٠١٢٣٤٥٦٧٨٩", "०१२३४५६७८९", "０１２３４５６７８９"
AREAS = ["11", "21", "31", "41", "48", "51", "61", "71", "81", "85"]
CITIES = {
    "BR": ["São Paulo", "Rio de Janeiro", "Belo Horizonte", "Curitiba", "Florianópolis"],
    "IN": ["Mumbai", "Bengaluru", "दिल्ली", "Pune"],
    "DE": ["Köln", "München", "Lübeck"],
}
FIRST = {
    "BR": "João Maria José Ana Luíza Antônio Conceição Flávia Inês Caíque Zélia Débora Íris",
    "IN": "Priya Arjun Lakshmi Rohan अनीता विकास Fatima Sanjay دانش Meera",
    "DE": "Jürgen Änne Björn Käthe Sören Günther Zoë Müzeyyen",
}
LAST = {
    "BR": "da Silva|Gonçalves|Conceição|de Araújo|Brandão|Assunção|Nuñez|dos Santos",
    "IN": "Sharma|Iyer|वर्मा|Khan|Patel|Reddy|خان",
    "DE": "Groß|Müller|Schröder|Weiß|Strauß|Öztürk",
}
ODD_NAMES = [
    "=1+1",
    '=HYPERLINK("http://example.com";"clique")',
    "+SUM(A1:A9)",
    "@cmd",
    "-2+3",
    "محمد عبد الله",
    "דוד כהן",
    'Zé "da Padaria" Souza',
    "Silva; Ana",
    "Ana\nMaria",
    "O'Brien",
    "  José   Carlos  ",
    "李小龍",
    "Ｗｉｄｅ Ｎａｍｅ",
]
TAGS = ["", "", "vip", "novo", "vip,novo", "aniversário", "atacado, vip", "Loja Centro"]


def people(rng: random.Random) -> list[tuple[str, str]]:
    """Country and E.164 of everyone, in a mixed order."""
    found = []
    for place in range(PEOPLE["BR"]):
        area = AREAS[place % len(AREAS)]
        block = "98000" if place < AGAIN else "90000"
        found.append(("BR", f"+55{area}{block}{place:04}"))
    found += [("IN", f"+9190000{place:05}") for place in range(PEOPLE["IN"])]
    found += [("DE", f"+49176040690{place:02}") for place in range(PEOPLE["DE"])]
    rng.shuffle(found)
    return found


def written(rng: random.Random, country: str, e164: str) -> str:
    """One of the ways people and Excel write a good number."""
    ways: list[Callable[[str], str]] = [
        lambda number: number,
        lambda number: number,
        lambda number: number[1:],  # the plus is missing
        lambda number: f"{number[:3]} {number[3:5]} {number[5:]}",
        lambda number: "00" + number[1:],
        lambda number: "'" + number,
        lambda number: number[1:] + ".0",
        lambda number: number[1:] + ",00",
        lambda number: f"\u202a{number}\u202c",
        lambda number: number[:3] + "\u00a0" + number[3:],
        lambda number: f'="{number}"',
        lambda number: "tel:" + number,
        lambda number: number.translate(str.maketrans("0123456789", WIDE)),
    ]
    if country == "BR":
        ways += [
            lambda number: f"({number[3:5]}) {number[5:10]}-{number[10:]}",
            lambda number: number[3:],
            lambda number: f"0{number[3:5]} {number[5:]}",
            lambda number: number[3:] + ".0",
        ]
    if country == "IN":
        digits = rng.choice([ARABIC, DEVANAGARI])
        ways.append(lambda number: number.translate(str.maketrans("0123456789", digits)))
    if country == "DE":
        ways.append(lambda number: f"+49 (0){number[3:6]} {number[6:]}")
    return rng.choice(ways)(e164)


def differently(rng: random.Random, country: str, e164: str) -> str:
    """The same person in another notation; Brazilians also without the ninth digit."""
    if country == "BR" and e164[5:7] == "98" and rng.random() < 0.5:
        return rng.choice([e164[:5] + e164[6:], f"({e164[3:5]}) {e164[6:10]}-{e164[10:]}"])
    return written(rng, country, e164)


def damaged(rng: random.Random, reason: str) -> str:
    """A phone cell that must be refused for this reason."""
    few = f"{rng.randrange(10_000):04}"
    number = f"+55119000{rng.randrange(100_000):05}"
    return {
        "phone_scientific": lambda: rng.choice(
            [
                f"5,5119{rng.randrange(10)}E+12",
                f"9,19{rng.randrange(100):02}E+11",
                "1,2E+10",
            ]
        ),
        "phone_empty": lambda: rng.choice(["", "", " ", "-", "\u00a0"]),
        "phone_too_short": lambda: rng.choice([f"3456-{few}", f"+55 3456-{few}", few]),
        "phone_letters": lambda: rng.choice(["não tem", "a confirmar", "perguntar à Ana"]),
        "phone_two_numbers": lambda: rng.choice(
            [f"{number} / +55119{few}0000", f"11 9{few}-0000 ou 21 9{few}-0000"]
        ),
        "phone_too_long": lambda: f"+5511{few}{few}{few}",
        "phone_signs": lambda: f"+55 11 9****-{few}",
    }[reason]()


def row(rng: random.Random, country: str, phone: str, number: int) -> list[str]:
    """One line around a phone cell."""
    first = rng.choice(FIRST[country].split())
    last = rng.choice(LAST[country].split("|"))
    on = f"{rng.randint(1, 28):02}/{rng.randint(1, 12):02}/{rng.choice([2023, 2024])}"
    return [
        phone,
        f"{first} {last}",
        f"cliente{number}@example.com" if rng.random() < 0.7 else "",
        rng.choice(TAGS),
        on if rng.random() < 0.8 else rng.choice(["sim", "2024-05-17"]),
        rng.choice(CITIES[country]),
        str(rng.randint(1, 40)),
    ]


def table(rng: random.Random) -> tuple[list[list[str]], dict[str, object]]:
    """Every line, and what must become of them."""
    everyone = people(rng)
    good = [row(rng, who, written(rng, who, at), n) for n, (who, at) in enumerate(everyone)]
    for place, name in enumerate(ODD_NAMES):
        good[place * 7][1] = name
    for place in range(REFUSALS_OF_CONSENT):
        good[3 + place * 11][4] = "não"
    twice = [one for one in everyone if one[1][5:7] == "98"][: AGAIN // 2]
    twice += rng.sample([one for one in everyone if one not in twice], AGAIN - len(twice))
    again = [row(rng, who, differently(rng, who, at), 0) for who, at in twice]
    bad = [
        row(rng, "BR", damaged(rng, reason), 0)
        for reason, times in REFUSED.items()
        for _ in range(times)
    ]
    lines = good + bad
    rng.shuffle(lines)
    lines += again  # a second time comes later, so the first one's name counts
    spots = sorted(rng.sample(range(10, len(lines)), BLANK_LINES), reverse=True)
    for spot in spots:
        lines.insert(spot, [""] * len(HEADER))
    expected = {
        "rows_read": len(good) + len(bad) + len(again),
        "contacts": len(everyone),
        "refused_rows": dict(sorted(REFUSED.items())),
        "duplicates_in_file": len(again),
        "consent_no": REFUSALS_OF_CONSENT,
        "contacts_by_country": dict(sorted(Counter(who for who, _ in everyone).items())),
        "default_country": "BR",
        "encoding": "utf-8-sig",
        "delimiter": ";",
        "fields": ["phone", "name", "email", "tags", "consent", "custom", "custom"],
    }
    return lines, expected


def main() -> None:
    """Write both files beside this one."""
    lines, expected = table(random.Random(20250607))
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=";", lineterminator="\r\n")
    writer.writerow(HEADER)
    writer.writerows(lines)
    (HERE / "demo_contacts.csv").write_bytes(out.getvalue().encode("utf-8-sig"))
    shown = json.dumps(expected, ensure_ascii=False, indent=2) + "\n"
    (HERE / "demo_contacts.expected.json").write_text(shown, encoding="utf-8")


if __name__ == "__main__":
    main()
