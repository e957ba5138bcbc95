"""What Kamailio is told."""

import shutil
import subprocess
from pathlib import Path

import pytest

from offhook.cli import main
from offhook.errors import SettingsInvalid
from offhook.service.kamailio_config import kamailio_files
from offhook.service.settings import Settings
from offhook.service.settings_file import loads

EXAMPLE = Path(__file__).parents[2] / "docs" / "run-the-service" / "kamailio.example.cfg"
OWN = ("127.0.0.1", "192.0.2.10")


def config(settings: str, nodes: int = 2, own: tuple[str, ...] = OWN) -> list[str]:
    return kamailio_files(loads(settings, {}), nodes, Path("/etc/kamailio/offhook"), own).config.splitlines()


def test_the_example_is_what_is_written_for_two_nodes() -> None:
    """To mend it: write `kamailio_files(Settings(), 2, Path("/etc/kamailio/offhook"), OWN).config` there."""
    files = kamailio_files(Settings(), 2, Path("/etc/kamailio/offhook"), OWN)
    assert EXAMPLE.read_text() == files.config


def test_each_node_is_in_the_list_and_reached_from_the_port_of_kamailio() -> None:
    files = kamailio_files(loads("[nodes]\nfirst_port = 17000", {}), 3, Path("/x"), OWN)
    assert files.nodes.splitlines() == [
        f"1 sip:127.0.0.1:{port} 0 0 socket=udp:127.0.0.1:17000" for port in (17001, 17002, 17003)
    ]


def test_a_wildcard_is_every_address_of_the_machine_and_advertised_outside_only() -> None:
    lines = config('[sip]\nlisten = ["udp:0.0.0.0:5060", "tcp:192.0.2.10:5062"]\nadvertise = "203.0.113.9"')
    assert [line for line in lines if line.startswith("listen=")] == [
        "listen=udp:127.0.0.1:5060",
        "listen=udp:192.0.2.10:5060 advertise 203.0.113.9:5060",
        "listen=tcp:192.0.2.10:5062 advertise 203.0.113.9:5062",
        "listen=udp:127.0.0.1:15060",
    ]


def test_who_may_call_is_known_to_it_and_who_is_denied_is_not_heard() -> None:
    text = "\n".join(
        config(
            '[sip]\nallow_from = ["198.51.100.0/24"]\nallow_this_machine = false\ndeny_from = ["192.0.2.66"]\n'
            '[[trunk]]\nname = "carrier"\nhosts = ["203.0.113.0/24"]'
        )
    )
    assert 'is_in_subnet("$si", "198.51.100.0/24,203.0.113.0/24")' in text
    assert 'is_in_subnet("$si", "192.0.2.66/32")' in text


def test_nothing_is_left_to_be_filled_in() -> None:
    assert not [line for line in config("") if "@" in line and not line.lstrip().startswith(("#", "modparam"))]


@pytest.mark.parametrize("listen", ["[]", '["udp:0.0.0.0:0"]'])
def test_without_a_port_for_sip_there_is_nothing_to_stand_before(listen: str) -> None:
    with pytest.raises(SettingsInvalid, match="need a SIP address"):
        config(f"[sip]\nlisten = {listen}")


def test_the_command_writes_what_kamailio_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Printed, or into a folder; there Kamailio itself reads it."""
    settings = tmp_path / "offhook.toml"
    settings.write_text('[sip]\nlisten = ["udp:127.0.0.1:25060", "tcp:127.0.0.1:25060"]')
    assert main(["kamailio-config", "-c", str(settings)]) == 0
    assert "request_route {" in capsys.readouterr().out
    assert main(["kamailio-config", "-c", str(settings), "--nodes", "3", "--folder", str(tmp_path / "made")]) == 0
    assert (tmp_path / "made" / "dispatcher.list").read_text().count("\n") == 3
    assert "--nodes 3 --without-kamailio" in capsys.readouterr().out
    kamailio = shutil.which("kamailio")
    if kamailio is not None:
        made = tmp_path / "made" / "kamailio.cfg"
        read = subprocess.run([kamailio, "-c", "-f", str(made)], capture_output=True, text=True, check=False)
        assert read.returncode == 0, read.stderr
