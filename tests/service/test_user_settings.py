"""`[[user]]`: telephones that sign in."""

import pytest

from offhook.service.setting_mistakes import SettingsMistaken
from offhook.service.settings_file import loads

USER = '[[user]]\nname = "front-door"\npassword = "not-easily-guessed"\n'


def test_a_user_may_dial_everything_unless_it_is_said() -> None:
    [user] = loads(USER + 'numbers = "100"', {}).users
    assert (user.name, user.numbers, user.may_dial) == ("front-door", ("100",), ("*",))
    assert "not-easily" not in repr(user)


def test_a_short_password_is_a_mistake_that_does_not_show_it() -> None:
    with pytest.raises(SettingsMistaken) as mistaken:
        loads(USER.replace("not-easily-guessed", "x1y2z3w4"), {})
    [mistake] = mistaken.value.mistakes
    assert mistake.path == "user[front-door].password"
    assert "8 characters" in mistake.problem
    assert "openssl rand" in mistake.remedy
    assert "x1y2z3w4" not in str(mistake)


def test_two_users_of_one_name_are_a_mistake() -> None:
    with pytest.raises(SettingsMistaken, match=r"user\[front-door\]\.name"):
        loads(USER + USER, {})


def test_a_users_password_comes_from_outside() -> None:
    [user] = loads(USER, {"OFFHOOK_USER__FRONT-DOOR__PASSWORD": "another-long-one"}).users
    assert user.password == "another-long-one"
