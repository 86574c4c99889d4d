"""A list of made-up people as a spreadsheet exports it: spellings, mistakes and repeats."""

import random
from collections.abc import Iterator

FIRST = (
    "Ana", "João", "Maria", "José", "Inês", "Carlos", "Fernanda", "Luís", "Beatriz",
    "Rafael", "Márcia", "Paulo", "Juliana", "Bruno", "Camila", "Thiago", "Letícia",
    "Gustavo", "Patrícia", "Diego", "Renata", "Felipe", "Sônia", "Marcelo", "Aline",
    "Rodrigo", "Vanessa", "André", "Cláudia", "Eduardo", "Tatiana", "Vinícius",
)  # fmt: skip
LAST = (
    "Silva", "Santos", "Oliveira", "Souza", "Rodrigues", "Ferreira", "Alves", "Pereira",
    "Lima", "Gomes", "Costa", "Ribeiro", "Martins", "Carvalho", "Almeida", "Lopes",
    "Soares", "Fernandes", "Vieira", "Barbosa", "Rocha", "Dias", "Nascimento", "Andrade",
    "Moreira", "Nunes", "Marques", "Machado", "Mendes", "Freitas", "Cardoso", "Ramos",
    "Gonçalves", "Santana", "Teixeira", "Moura", "Araújo", "Pinto", "Cavalcanti", "Brito",
)  # fmt: skip
CITIES = ("Recife", "São Paulo", "Natal", "Curitiba", "Belém", "Manaus", "Fortaleza")
PLANS = ("basic", "plus", "gold", "")
AREAS = ("11", "21", "31", "41", "51", "61", "71", "81", "85", "91")
BAD = (
    "12",
    "",
    "sem telefone",
    "1,23457E+12",
    "+5511912345678 / +5511912345679",
    "+999123456",
)
HEADER = "phone,name,e-mail,city,plan,joined"


def lines(rows: int, seed: int = 4) -> Iterator[str]:
    """Write a header and so many rows: 5 % of no use, 10 % a person of an earlier row."""
    chance = random.Random(seed)
    yield HEADER + "\n"
    for number in range(rows):
        dice = chance.random()
        if dice < 0.05:
            phone = chance.choice(BAD)
            phone = f'"{phone}"' if "," in phone else phone
        else:
            again = dice < 0.15 and number > 100
            whose = chance.randrange(number) if again else number
            phone = spelled(whose, chance.random())
        yield f"{phone},{person(number, chance)}\n"


def spelled(number: int, dice: float) -> str:
    """One Brazilian mobile number, as one of those who type lists writes it."""
    area, digits = AREAS[number % 10], f"9{6_000_000_0 + number // 10:08d}"
    if dice < 0.6:
        return f"+55{area}{digits}"
    if dice < 0.75:
        return f"+55 {area} {digits[:5]}-{digits[5:]}"
    return f"({area}) {digits[:5]}-{digits[5:]}" if dice < 0.9 else f"{area}{digits}"


def person(number: int, chance: random.Random) -> str:
    """Name, e-mail and three more cells."""
    first, last = chance.choice(FIRST), chance.choice(LAST)
    place = f"{first.lower()}.{last.lower()}{number}@mail{number % 50}.example"
    joined = f"{2018 + number % 7}-{1 + number % 12:02d}-{1 + number % 28:02d}"
    return ",".join(
        (
            f"{first} {last}",
            place.encode("ascii", "ignore").decode(),
            chance.choice(CITIES),
            chance.choice(PLANS),
            joined,
        )
    )
