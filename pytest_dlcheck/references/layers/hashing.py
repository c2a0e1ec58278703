"""The two hash functions that text layers are documented to use, from their publications, on Python integers."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["bucket", "farmhash64", "siphash64"]

WORD = (1 << 64) - 1
K0, K1, K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F


def _fetch(text: bytes, start: int, length: int = 8) -> int:
    return int.from_bytes(text[start : start + length], "little")


def _rotated_right(value: int, by: int) -> int:
    return ((value >> by) | (value << (64 - by))) & WORD


def _rotated_left(value: int, by: int) -> int:
    return _rotated_right(value, 64 - by)


def _mixed(value: int) -> int:
    return value ^ (value >> 47)


def _of_two(first: int, second: int, factor: int) -> int:
    a = _mixed(((first ^ second) * factor) & WORD)
    return (_mixed(((second ^ a) * factor) & WORD) * factor) & WORD


def farmhash64(text: bytes) -> int:
    """FarmHash's 64-bit fingerprint of up to 32 bytes (https://github.com/google/farmhash, farmhashna::Hash64).

    Raises:
        ValueError: the text is longer, for which the function has further branches.
    """
    size = len(text)
    factor = (K2 + 2 * size) & WORD
    if size == 0:
        return K2
    if size < 4:
        y = text[0] + (text[size >> 1] << 8)
        z = size + (text[-1] << 2)
        return (_mixed(((y * K2) & WORD) ^ ((z * K0) & WORD)) * K2) & WORD
    if size < 8:
        return _of_two((size + (_fetch(text, 0, 4) << 3)) & WORD, _fetch(text, size - 4, 4), factor)
    if size <= 16:
        a = (_fetch(text, 0) + K2) & WORD
        b = _fetch(text, size - 8)
        c = (_rotated_right(b, 37) * factor + a) & WORD
        d = ((_rotated_right(a, 25) + b) * factor) & WORD
        return _of_two(c, d, factor)
    if size > 32:
        raise ValueError("only up to 32 bytes")
    a = (_fetch(text, 0) * K1) & WORD
    b = _fetch(text, 8)
    c = (_fetch(text, size - 8) * factor) & WORD
    d = (_fetch(text, size - 16) * K2) & WORD
    first = _rotated_right((a + b) & WORD, 43) + _rotated_right(c, 30) + d
    second = a + _rotated_right((b + K2) & WORD, 18) + c
    return _of_two(first & WORD, second & WORD, factor)


def siphash64(text: bytes, key: Sequence[int]) -> int:
    """SipHash-2-4 with a key of two words (Aumasson and Bernstein, SipHash: a fast short-input PRF, 2012)."""
    v = [
        key[0] ^ 0x736F6D6570736575,
        key[1] ^ 0x646F72616E646F6D,
        key[0] ^ 0x6C7967656E657261,
        key[1] ^ 0x7465646279746573,
    ]
    padded = text + bytes(7 - len(text) % 8) + bytes([len(text) & 255])
    for start in range(0, len(padded), 8):
        word = _fetch(padded, start)
        v[3] ^= word
        _rounds(v, 2)
        v[0] ^= word
    v[2] ^= 255
    _rounds(v, 4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def _rounds(v: list[int], count: int) -> None:
    for _ in range(count):
        v[0] = (v[0] + v[1]) & WORD
        v[2] = (v[2] + v[3]) & WORD
        v[1] = _rotated_left(v[1], 13) ^ v[0]
        v[3] = _rotated_left(v[3], 16) ^ v[2]
        v[0] = _rotated_left(v[0], 32)
        v[2] = (v[2] + v[1]) & WORD
        v[0] = (v[0] + v[3]) & WORD
        v[1] = _rotated_left(v[1], 17) ^ v[2]
        v[3] = _rotated_left(v[3], 21) ^ v[0]
        v[2] = _rotated_left(v[2], 32)


def bucket(token: object, count: int, salt: int | Sequence[int] | None = None) -> int:
    """The bucket of a text, or of a number by its decimal digits: FarmHash64, or, with a salt, SipHash64."""
    text = str(token).encode()
    if salt is None:
        return farmhash64(text) % count
    return siphash64(text, (salt, salt) if isinstance(salt, int) else salt) % count
