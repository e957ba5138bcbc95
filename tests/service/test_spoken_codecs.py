"""Codecs by their names; the library of Opus is there on the machines that test."""

from offhook.media.messages import Codec
from offhook.service.spoken_codecs import spoken_codecs, without_library


def test_codecs_are_spoken_in_the_order_in_which_they_are_named() -> None:
    assert spoken_codecs(["PCMU", "opus", "G722"]) == (Codec.PCMU, Codec.OPUS, Codec.G722)


def test_nothing_is_missing_where_opus_is_not_named_or_installed() -> None:
    assert not without_library(["G722"], None)
    assert not without_library(["opus"], None)
