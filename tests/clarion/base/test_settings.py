"""Settings: read once, normalised, and refused all at once in production."""

import os
import stat

import pytest

from clarion.base.errors import Misconfigured
from clarion.base.settings import Settings, bundled, checkout, settings


@pytest.fixture
def env(monkeypatch, tmp_path):
    for name in list(os.environ):
        if name.startswith("CLARION_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CLARION_HOME", str(tmp_path / "home"))
    settings.cache_clear()

    def give(**values):
        for name, value in values.items():
            monkeypatch.setenv(f"CLARION_{name.upper()}", value)
        settings.cache_clear()

    yield give
    monkeypatch.undo()
    settings.cache_clear()


def test_development_makes_its_secrets_once(env, tmp_path):
    first, key = settings().secret_key.get_secret_value(), settings().key_bytes()
    settings.cache_clear()

    assert settings().secret_key.get_secret_value() == first
    assert settings().key_bytes() == key
    assert len(first) >= 32
    for path in (tmp_path / "home" / "secrets").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_database_address_names_the_driver(env):
    env(database_url="postgresql://clarion:x@db/clarion", public_url="https://a.example/")

    assert settings().database_url == "postgresql+psycopg://clarion:x@db/clarion"
    assert settings().database_owner_url == settings().database_url
    assert settings().callback_base_url == "https://a.example"


def test_lists_are_written_with_commas(env):
    env(http_allow="127.0.0.1:9000, 127.0.0.1:9001", trace="hooks")

    assert settings().http_allow == ("127.0.0.1:9000", "127.0.0.1:9001")
    assert settings().trace == ("hooks",)


def test_bad_values_are_listed_together(env):
    env(env="staging", database_url="mysql://db", web_threads="none")

    with pytest.raises(Misconfigured) as refused:
        settings()

    assert refused.value.code == "settings_invalid"
    for name in ("CLARION_ENV", "CLARION_DATABASE_URL", "CLARION_WEB_THREADS"):
        assert name in refused.value.text


def test_production_lists_everything_it_refuses(env):
    env(env="production", http_allow="127.0.0.1:9000")

    with pytest.raises(Misconfigured) as refused:
        settings()

    assert refused.value.code == "settings_refused"
    assert refused.value.text.count("\n- ") == 5
    for name in ("SECRET_KEY", "KEY_FILE", "HTTP_ALLOW", "DATABASE_URL", "REDIS_URL"):
        assert f"CLARION_{name}" in refused.value.text


def test_production_starts_when_all_is_set(env, tmp_path):
    key = tmp_path / "key"
    key.write_text("k" * 40)
    key.chmod(0o644)
    env(
        env="production",
        secret_key="s" * 40,
        key_file=str(key),
        database_url="postgresql://clarion@db/clarion",
        redis_url="rediss://broker",
    )
    with pytest.raises(Misconfigured, match="0600"):
        settings()

    key.chmod(0o600)

    assert settings().production
    assert settings().log_json
    assert settings().key_bytes() == b"k" * 40


def test_secrets_are_not_shown(env):
    env(
        secret_key="visible-secret-visible-secret-xx",
        database_url="postgresql://u:pw4@db/x",
    )

    assert "visible" not in repr(settings())
    assert "pw4" not in repr(settings())


def test_every_setting_is_described():
    undescribed = [n for n, field in Settings.model_fields.items() if not field.description]

    assert undescribed == []


def test_shipped_folders_are_found():
    assert (checkout() / "pyproject.toml").is_file()
    assert bundled("themes") == checkout() / "themes"
