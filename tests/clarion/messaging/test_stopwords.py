"""STOP-01: every word in every disguise. STOP-02: everyday sentences are left alone."""

import unicodedata
from pathlib import Path

import pytest

from clarion.messaging import stopwords
from clarion.messaging.stopwords import entries, read

LANGUAGES = sorted(
    file.stem for file in (Path(stopwords.__file__).parent / "stop").glob("*.txt")
)

BASELINE = [
    "STOP",
    "STOPALL",
    "UNSUBSCRIBE",
    "CANCEL",
    "END",
    "QUIT",
    "REMOVE",
    "OPT-OUT",
    "ARRET",
    "TD",
    "BAJA",
    "PARAR",
    "SAIR",
    "CANCELAR",
    "STOPP",
    "ABMELDEN",
    "AFMELDEN",
    "BASTA",
    "İPTAL",
    "DUR",
    "СТОП",
    "ОТПИСАТЬСЯ",
    "توقف",
    "إلغاء",
    "बस",
    "रोकें",
    "बंद",
    "বন্ধ",
    "நிறுத்து",
    "停止",
    "退订",
    "配信停止",
    "ストップ",
    "중지",
    "berhenti",
    "hủy",
]


def _wide(word):
    return "".join(chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" else sign for sign in word)


VARIANTS = {
    "upper": str.upper,
    "title": str.title,
    "wide": _wide,
    "composed": lambda word: unicodedata.normalize("NFC", word),
    "decomposed": lambda word: unicodedata.normalize("NFD", word),
    "zero width": lambda word: word[0] + "\u200b" + word[1:] + "\ufeff",
    "directions": lambda word: f"\u202b{word}\u202c\u200f",
    "control": lambda word: f"\x07{word}\x00",
    "full stop": lambda word: word + ".",
    "shouted": lambda word: f"¡{word}!!!",
    "quoted": lambda word: f"“{word}”",
    "bold": lambda word: f"*{word}*",
    "danda": lambda word: f"{word}।",
    "east": lambda word: f"「{word}」。",
    "hash": lambda word: f"#{word}",
    "emoji": lambda word: f"🛑 {word} 🙏🏽",
    "glued emoji": lambda word: f"{word}✋🏿\ufe0f",
    "family": lambda word: f"{word} 👨‍👩‍👧",
    "lines": lambda word: f"\n\t {word}\u00a0\r\n",
    "and more": lambda word: f"{word}, 123" if len(word.split()) < 4 else word,
}

# In each language, sentences with a STOP word in them that ask for nothing of the kind.
EVERYDAY = {
    "en": [
        "please don't stop writing",
        "I get off at the last stop before the bridge",
        "we are open until the end of the month",
        "can I cancel only the second item of my order?",
    ],
    "pt": [
        "não quero parar de receber as ofertas",
        "posso cancelar só um item do pedido?",
        "vou sair do trabalho às seis e passo aí",
    ],
    "es": ["¿cuándo baja el precio de la bici?", "tengo que salir ahora, escribo luego"],
    "de": ["wo ist der nächste stopp von der linie 5?", "ich muss mich noch abmelden dort"],
    "fr": ["le bus fait un arrêt devant chez vous ?"],
    "it": ["quanto basta per quattro persone di pasta?"],
    "nl": ["waar moet ik me afmelden bij de receptie?"],
    "tr": ["siparişimi iptal etmeden önce bir sorum var"],
    "ru": ["где находится кнопка стоп на пульте?"],
    "ar": ["هل يمكن إلغاء الطلب الثاني فقط من فضلك"],
    "hi": ["मुझे बस एक किलो चाहिए भैया", "क्या दुकान रविवार को बंद रहती है"],
    "bn": ["দোকান কি রবিবার বন্ধ থাকে নাকি খোলা"],
    "ta": ["பேருந்தை எங்கே நிறுத்து வார்கள் என்று சொல்லுங்கள்"],
    "zh": ["请问你们什么时候停止营业", "公交车停止服务了吗"],
    "ja": ["バスのストップボタンはどこですか"],
    "ko": ["서비스 점검으로 중지 되는 시간은 언제 인가요"],
    "id": ["bus ini berhenti di depan toko tidak?"],
    "vi": ["tôi muốn hủy một món trong đơn hàng"],
}

# … and ones with none: nothing may happen at all.
PLAIN = """
yes|no|ok|thanks!|hello|1|👍|🛒❤️|sim|não|obrigado|bom dia|quanto custa?|sí|gracias|hola|
buenos días|ja|nein|danke|guten morgen|oui|merci|bonjour|sì|grazie|evet|hayır|teşekkürler|да|нет|
спасибо|نعم|لا|شكرا|שלום|תודה|हाँ|नहीं|धन्यवाद|accha|haan ji|theek hai|kitna hai?|ধন্যবাদ|நன்றி|
好的|谢谢|多少钱|はい|ありがとう|네|감사합니다|terima kasih|cảm ơn|đúng rồi|ขอบคุณ|asante|salamat|
dank je|tak|tack|kiitos|dziękuję|děkuji|köszönöm|mulțumesc|ευχαριστώ|seis|uma caixa de seis|
what time do you open tomorrow?|nonstop flight please|the stopover was fine|endless thanks|
stopwatch|I unsubscribed my cousin|canceled|quite good|removed|sairá amanhã|
me manda o endereço da loja|meu nome é Joana|Ich hätte gern zwei Karten für Samstag
""".replace("\n", "").split("|")


def test_there_are_files_for_thirty_languages_and_more():
    assert len(LANGUAGES) >= 30
    for language in LANGUAGES:
        assert entries("stop", language)
        assert entries("start", language)


@pytest.mark.parametrize("word", BASELINE)
def test_the_baseline_stops(word):
    assert read(word) == "stop"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_every_stop_word_stops_in_every_disguise(language, variant):
    for word in entries("stop", language):
        assert read(VARIANTS[variant](word)) == "stop", word


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_start_word_starts(language):
    quiet = [name for name in VARIANTS if name != "and more"]
    for word in entries("start", language):
        for name in quiet:
            assert read(VARIANTS[name](word)) == "start", (word, name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stop please", "stop"),
        ("Stop sending me this", "stop"),
        ("stop sending me this please", "maybe"),  # five words: a person looks
        ("please stop", "maybe"),
        ("s t o p", "maybe"),
        ("S.T.O.P", "maybe"),
        ("start stop", "maybe"),
        ("start my order now", None),  # lifting a STOP needs the word alone
        ("arret", "stop"),
        ("arrêt", "stop"),
        ("iptal", "stop"),
        ("opt‑out", "stop"),
        ("ｽﾄｯﾌﾟ", "stop"),
        ("र क", None),  # what रोकें becomes when its marks are lost
        ("ストッフ", None),
        ("", None),
        ("🙏", None),
    ],
)
def test_single_cases(text, said):
    assert read(text) == said


@pytest.mark.parametrize("language", sorted(EVERYDAY))
def test_everyday_sentences_with_a_word_go_to_the_team(language):
    for sentence in EVERYDAY[language]:
        assert read(sentence) == "maybe", sentence


@pytest.mark.parametrize("sentence", PLAIN)
def test_everyday_sentences_without_a_word_are_left_alone(sentence):
    assert read(sentence) is None


def test_no_word_means_both():
    stop = {stopwords.plain(word) for word in entries("stop")}
    start = {stopwords.plain(word) for word in entries("start")}

    assert stop
    assert not stop & start


def test_a_long_message_is_read_quickly():
    assert read("lorem ipsum dolor " * 4000) is None
