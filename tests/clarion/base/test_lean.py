import subprocess
import sys

import pytest

from clarion.base import lean

LOADED = """
import sys
from clarion.base import db
from clarion.web import staff
print(*sorted({name.partition(".")[0] for name in sys.modules}))
import marshmallow, flask_limiter, jwt
assert marshmallow.Schema().dump({}) == {} and jwt.encode({}, "b" * 32)
print(flask_limiter.Limiter.__module__)
"""


def test_the_console_loads_nothing_it_does_not_use_and_leaves_it_to_others():
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True
    )
    loaded, limiter = done.stdout.splitlines()

    unused = {name.partition(".")[0] for name in lean.FAB_UNUSED} | {"rich", "PIL"}
    assert "flask_appbuilder" in loaded.split()
    assert not unused & set(loaded.split())
    assert limiter.startswith("flask_limiter.")  # the real one


def test_what_is_loaded_already_stays_the_real_one():
    import email.message as real

    with lean._standing(("email", "email.message"), lean.HollowModule):
        assert sys.modules["email.message"] is real
    assert sys.modules["email.message"] is real


def test_a_package_is_left_out_inside_only():
    sys.modules.pop("wave", None)
    with lean.without("wave"), pytest.raises(ImportError):
        import wave
    import wave

    assert wave.Wave_read


def test_hollow_names_can_be_derived_from_and_put_on_things():
    module = lean.HollowModule("marshmallow")

    class Shape(module.Schema):
        name = module.fields.String(required=True)

        @module.validates("name")
        def kept(self):
            return "kept"

    assert Shape().kept() == "kept"
    with pytest.raises(AttributeError):
        _ = module.__wrapped__
