"""What the word over a column means, in six languages and some scripts.

English, Portuguese, Spanish, German, French and Hindi in Latin letters; the words are
compared without accents, capitals and signs.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Literal

Field = Literal[
    "phone",
    "wa_id",
    "bsuid",
    "parent_bsuid",
    "name",
    "first_name",
    "last_name",
    "email",
    "language",
    "country",
    "timezone",
    "tags",
    "lists",
    "consent",
    "custom",
]

_WORDS: dict[Field, str] = {
    "phone": """
        phone|phone number|phone no|phone nr|mobile|mobile number|mobile no|mobile phone|
        cell|cell phone|cellphone|cell number|tel|tel no|telephone|telephone number|
        whatsapp|whatsapp number|whatsapp no|wa number|wa id|msisdn|contact number|
        contact no|contact phone|phone 1|phone1|primary phone|e164|sms|
        celular|numero celular|numero de celular|telefone|telefone celular|fone|
        numero de telefone|numero do telefone|numero whatsapp|numero de whatsapp|zap|
        telefone 1|telefone whatsapp|contato telefone|
        telefono|telefono movil|telefono celular|movil|numero de telefono|numero movil|
        num telefono|nro telefono|nro de telefono|nro celular|tel movil|
        telefon|telefonnummer|telefonnr|telefon nr|tel nr|handy|handynummer|handynr|handy nr|
        mobil|mobilnummer|mobiltelefon|mobilfunk|mobilfunknummer|rufnummer|
        telephone portable|portable|mobile phone number|numero de telephone|
        numero telephone|numero de portable|gsm|tel portable|n de telephone|
        mobile nambar|mobail|mobail nambar|phone nambar|fon|fon nambar|durbhash|doorbhash|
        sampark|sampark nambar|dur bhash|
        मोबाइल|मोबाइल नंबर|फोन|फ़ोन|फोन नंबर|दूरभाष|手机|手机号|手机号码|电话|电话号码|電話|電話番号|
        携帯|携帯電話|전화|전화번호|휴대폰|телефон|мобильный|номер телефона|هاتف|الهاتف|رقم الهاتف|
        جوال|الجوال|موبايل|טלפון|telefon no|cep telefonu|numero di telefono|cellulare|
        telefoon|telefoonnummer|mobiel""",
    "name": """
        name|full name|fullname|contact name|customer name|customer|client name|person|
        display name|contact|recipient|
        nome|nome completo|nome do cliente|cliente|contato|nome contato|
        nombre completo|nombre y apellido|nombre y apellidos|nombre|nombre del cliente|
        vollstandiger name|kundenname|kunde|kontakt|ansprechpartner|
        nom complet|nom et prenom|nom prenom|nom du client|client|
        naam|pura naam|poora naam|grahak|grahak ka naam|
        नाम|पूरा नाम|姓名|名字|名前|氏名|お名前|이름|имя и фамилия|фио|الاسم|اسم|שם|ad soyad|isim|
        nome e cognome|imie i nazwisko|volledige naam""",
    "first_name": """
        first name|firstname|given name|givenname|forename|fname|first|
        primeiro nome|nome proprio|prenome|
        primer nombre|nombre de pila|nombres|
        vorname|vornamen|rufname|
        prenom|prenoms|
        pehla naam|pahla naam|pratham naam|प्रथम नाम|पहला नाम|名|имя|ad|imie|voornaam""",
    "last_name": """
        last name|lastname|surname|family name|familyname|lname|last|
        sobrenome|ultimo nome|apelido|nome de familia|
        apellido|apellidos|primer apellido|
        nachname|familienname|zuname|
        nom de famille|nom|
        upnaam|kulnaam|kul naam|antim naam|उपनाम|姓|фамилия|soyad|cognome|nazwisko|
        achternaam""",
    "email": """
        email|e mail|mail|email address|e mail address|mail address|
        correo|correo electronico|email do cliente|endereco de email|
        direccion de correo|e mail adresse|mailadresse|emailadresse|
        courriel|adresse email|adresse e mail|adresse mail|
        ipata|email pata|ईमेल|电子邮件|邮箱|メール|メールアドレス|이메일|
        электронная почта|почта|البريد الإلكتروني|البريد الالكتروني|eposta|e posta""",
    "language": """
        language|lang|locale|preferred language|language code|idioma|lingua|lengua|
        sprache|langue|bhasha|भाषा|语言|言語|언어|язык|اللغة|dil|taal|linguagem""",
    "country": """
        country|country code|country name|nation|pais|codigo do pais|codigo de pais|
        land|landercode|laendercode|landeskennung|pays|code pays|desh|देश|国家|国|국가|
        страна|الدولة|البلد|ulke|paese""",
    "timezone": """
        time zone|timezone|tz|zone|local time zone|iana zone|iana time zone|
        fuso|fuso horario|zona horaria|huso horario|huso|
        zeitzone|fuseau|fuseau horaire|samay kshetra|समय क्षेत्र|时区|時區|タイムゾーン|시간대|
        часовой пояс|المنطقة الزمنية|saat dilimi|fuso orario|strefa czasowa|tijdzone""",
    "tags": """
        tags|tag|labels|label|groups|group|segments|segment|categories|category|
        etiqueta|etiquetas|grupo|grupos|segmento|segmentos|categoria|categorias|marcadores|schlagwort|schlagworte|schlagworter|gruppe|gruppen|kategorie|
        kategorien|etiquette|etiquettes|groupe|groupes|categorie|mots cles|
        samuh|varg|shreni|समूह|标签|タグ|태그|метки|теги|группа""",
    "lists": "list|lists|lista|listas|liste|listen",
    "consent": """
        consent|consent date|consent at|opt in|optin|opt in date|optin date|opt in at|
        opted in|opted in at|subscribed|subscribed at|subscribed on|subscription date|
        marketing consent|gdpr consent|permission|accepts marketing|signup date|
        consentimento|data consentimento|data do consentimento|aceita marketing|aceite|
        autorizacao|data de opt in|data opt in|opt in em|data de inscricao|lgpd|
        consentimiento|fecha de consentimiento|fecha consentimiento|acepta marketing|
        fecha de alta|fecha opt in|suscrito|
        einwilligung|einwilligung am|einwilligungsdatum|zustimmung|zustimmung am|
        datum der einwilligung|newsletter|dsgvo|angemeldet am|
        consentement|date de consentement|date du consentement|inscrit le|
        date d inscription|rgpd|sahmati|sahmati tithi|anumati|सहमति|согласие|同意|موافقة""",
    "wa_id": "",
    "bsuid": "business scoped id|bsuid",
    "parent_bsuid": "",
    "custom": "",
}

_SENSITIVE = frozenset(
    """
    cpf|rg|cnpj|ssn|social security number|passport|passport number|passaporte|pasaporte|
    aadhaar|aadhar|pan|pan number|password|senha|contrasena|passwort|mot de passe|iban|
    credit card|card number|cartao|numero do cartao|tarjeta|cvv|dni|nif|curp|rfc|
    religion|religiao|caste|health|diagnosis|steuernummer|ausweisnummer|pin
    """.replace("\n", " ")
    .strip()
    .split("|")
)
_LANDLINE = frozenset(
    {"fixo", "residencial", "comercial", "fijo", "festnetz", "fixe", "landline", "home"}
    | {"work", "office", "fax", "privat", "geschaftlich", "emergency", "parent", "spouse"}
)


def plain(text: str) -> str:
    """Small letters, no accents on Latin letters, no signs: for comparing words."""
    text = unicodedata.normalize("NFKD", text.replace("_", " ")).casefold()
    text = "".join(
        sign for sign in text if not "\u0300" <= sign <= "\u036f" and sign != "\u00ad"
    )
    text = unicodedata.normalize("NFC", text)
    return " ".join(re.sub(r"[^\w\u0900-\u0dff]+", " ", text).split())


def _known() -> dict[str, Field]:
    found: dict[str, Field] = {}
    for field, words in _WORDS.items():
        for word in words.split("|"):
            if key := plain(word):
                found.setdefault(key, field)
    return found


_KNOWN = _known()
_INSIDE = sorted((word for word in _KNOWN if len(word) > 3), key=len, reverse=True)


@lru_cache(maxsize=4096)
def meaning(name: str) -> tuple[Field | None, int]:
    """The field a header names and how sure that is, 0-100; 0 and None when unknown."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)  # firstName
    for said in (plain(name), plain(spaced)):
        if not said or said in _SENSITIVE:
            return None, 0
        if field := _KNOWN.get(said):
            return field, 97
    words = set(plain(spaced).split())
    for word in _INSIDE:
        if set(word.split()) <= words:
            field = _KNOWN[word]
            if field == "phone" and words & _LANDLINE:
                return field, 45
            return field, 75
    return None, 0


def is_sensitive(name: str) -> bool:
    """Whether the header promises data that messages never need: papers, cards, beliefs."""
    return plain(name) in _SENSITIVE


_PHONE = re.compile(r"['=\"+(]*[\d]{2,}[\d\s()./+\-]*")
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[ T]\d.*)?")
_PLACE = re.compile(r"-?\d{1,3}\.\d{4,7}")  # a coordinate: 120.124206
_SCIENTIFIC = re.compile(r"\d(?:[.,]\d+)?[eE]\+?\d\d")


def looks_like_phone(cell: str) -> bool:
    """Whether a cell has the shape of a phone number: 8 to 15 digits, phone signs only."""
    cell = cell.strip()
    if _SCIENTIFIC.fullmatch(cell):
        return True
    if not cell.isascii():
        cell = unicodedata.normalize("NFKC", cell).strip("\u200e\u200f\u202a\u202c ")
    if not _PHONE.match(cell) or _DATE.fullmatch(cell) or _PLACE.fullmatch(cell):
        return False
    digits = sum(sign.isdigit() for sign in cell)
    return 8 <= digits <= 15 and not any(sign.isalpha() for sign in cell)


def looks_like_email(cell: str) -> bool:
    """Whether a cell has the shape of an e-mail address."""
    name, at, domain = cell.strip().partition("@")
    return bool(name and at and "." in domain and " " not in domain)


def looks_like_date(cell: str) -> bool:
    """Whether a cell has the shape of a date in digits."""
    return bool(_DATE.fullmatch(cell.strip()))


def looks_like_data(cell: str) -> bool:
    """Whether a cell is something no header is: a number, an address, a date."""
    cell = cell.strip()
    return bool(cell) and (
        looks_like_phone(cell)
        or looks_like_email(cell)
        or looks_like_date(cell)
        or bool(re.fullmatch(r"-?\d+(?:[.,]\d+)?", cell))
    )
