"""The keys that live outside the database: they derive codes, fingerprint and index values, seal texts, sign evidence.

One file of mode 0600 holds them all; old keys stay in it as long as something made with them lives. The composition
root loads the ring once and hands it to `codes`, `cases`, `evidence`, `api` and `webhooks`.
"""

import hashlib
import hmac
import secrets
import tomllib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from engine import base64url
from engine.errors import SettingsError, Tampered, UnknownKey
from engine.private_files import read_private, replace_private, write_private

KEY_OCTETS: Final = 32
_NONCE_OCTETS: Final = 12  # random 96-bit nonces: rotate the sealing key well before 2^32 values (NIST SP 800-38D)
_NONCES_DRAWN: Final = 128
_FINGERPRINT_CHARACTERS: Final = 32
_HEADER: Final = """\
# The keys of one Sceau installation. Without them its codes, sealed texts and fingerprints mean nothing.
# Keep a copy apart from the database's backups; mode 0600; never in version control.
"""

Entropy = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys of 32 octets: code, sealing and evidence keys by id with the current id of each, and one each to
    fingerprint, to index and to salt commitments.

    Evidence keys are Ed25519 seeds; the id of one is the beginning of its public key's hash, so that who has the public
    key knows its id. `entropy` gives nonces and new keys; tests hand in a seeded one.
    """

    current_kid: str
    code_keys: Mapping[str, bytes] = field(repr=False)
    current_sealing: str
    sealing_keys: Mapping[str, bytes] = field(repr=False)
    fingerprint_key: bytes = field(repr=False)
    index_key: bytes = field(repr=False)
    current_evidence: str
    evidence_keys: Mapping[str, bytes] = field(repr=False)
    commitment_key: bytes = field(repr=False)
    entropy: Entropy = field(default=secrets.token_bytes, repr=False, compare=False)
    _ciphers: Mapping[str, AESGCM] = field(init=False, repr=False, compare=False)
    _fingerprints: hmac.HMAC = field(init=False, repr=False, compare=False)
    _indices: hmac.HMAC = field(init=False, repr=False, compare=False)
    _nonces: deque[bytes] = field(default_factory=deque, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ciphers = {kid: AESGCM(key) for kid, key in self.sealing_keys.items()}
        object.__setattr__(self, "_ciphers", ciphers)
        object.__setattr__(self, "_fingerprints", hmac.new(self.fingerprint_key, digestmod="sha256"))
        object.__setattr__(self, "_indices", hmac.new(self.index_key, digestmod="sha256"))

    @classmethod
    def generate(cls, entropy: Entropy = secrets.token_bytes) -> Self:
        """Return a ring of new keys."""
        code, sealing = _new_kid(entropy), _new_kid(entropy)
        return cls(
            current_kid=code,
            code_keys={code: entropy(KEY_OCTETS)},
            current_sealing=sealing,
            sealing_keys={sealing: entropy(KEY_OCTETS)},
            fingerprint_key=entropy(KEY_OCTETS),
            index_key=entropy(KEY_OCTETS),
            **_new_evidence(entropy),
            entropy=entropy,
        )

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Return the ring of a file; raises `SettingsError`: missing, open to others or malformed.

        A file of before evidence was kept is completed with new keys for it.
        """
        where = Path(path)
        try:
            content = tomllib.loads(read_private(where, "the key ring"))
        except tomllib.TOMLDecodeError:
            raise SettingsError(f"the key ring {where} is not valid TOML") from None
        reader = _Reader(where, content)
        is_old = "evidence" not in content
        evidence: Mapping[str, Any] = (
            _new_evidence(secrets.token_bytes)
            if is_old
            else {
                "current_evidence": reader.current("evidence"),
                "evidence_keys": reader.keys("evidence"),
                "commitment_key": reader.key("commitment", "key"),
            }
        )
        ring = cls(
            current_kid=reader.current("codes"),
            code_keys=reader.keys("codes"),
            current_sealing=reader.current("sealing"),
            sealing_keys=reader.keys("sealing"),
            fingerprint_key=reader.key("fingerprint", "key"),
            index_key=reader.key("index", "key"),
            **evidence,
        )
        if is_old:
            ring.save(where, overwrite=True)
        return ring

    def save(self, path: Path | str, *, overwrite: bool = False) -> None:
        """Write the ring with mode 0600; raises `FileExistsError` if there is one, unless `overwrite`."""
        (replace_private if overwrite else write_private)(Path(path), self._text())

    def with_new_code_key(self) -> Self:
        """Return a ring that derives new codes with a new key and still knows the old ones."""
        kid = _new_kid(self.entropy)
        keys = {**self.code_keys, kid: self.entropy(KEY_OCTETS)}
        return replace(self, current_kid=kid, code_keys=keys)

    def with_new_sealing_key(self) -> Self:
        """Return a ring that seals with a new key and still opens what the old ones sealed."""
        kid = _new_kid(self.entropy)
        keys = {**self.sealing_keys, kid: self.entropy(KEY_OCTETS)}
        return replace(self, current_sealing=kid, sealing_keys=keys)

    def with_new_evidence_key(self) -> Self:
        """Return a ring that signs evidence with a new key and still names the old ones."""
        new = _new_evidence(self.entropy)
        keys = {**self.evidence_keys, **new["evidence_keys"]}
        return replace(self, current_evidence=new["current_evidence"], evidence_keys=keys)

    def sign(self, octets: bytes) -> str:
        """Return the Ed25519 signature under the current evidence key, in base64url."""
        private = Ed25519PrivateKey.from_private_bytes(self.evidence_keys[self.current_evidence])
        return base64url.encode(private.sign(octets))

    def public_keys(self) -> dict[str, Ed25519PublicKey]:
        """Return the public evidence keys by id, old ones included."""
        return {
            kid: Ed25519PrivateKey.from_private_bytes(seed).public_key() for kid, seed in self.evidence_keys.items()
        }

    def public_pems(self) -> dict[str, str]:
        """Return the same keys as PEM text, as they are handed to whoever verifies."""
        return {
            kid: key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
            for kid, key in self.public_keys().items()
        }

    def salt(self, facts: str) -> bytes:
        """Return the 32 octets that salt a commitment whose salt is stored nowhere; `facts` name what it hides."""
        return hmac.digest(self.commitment_key, facts.encode(), "sha256")

    def code_key(self, kid: str) -> bytes:
        """Return the key that derives codes of this id; raises `UnknownKey`."""
        try:
            return self.code_keys[kid]
        except KeyError:
            raise UnknownKey("no code key of this id") from None

    def fingerprint(self, kind: str, value: str) -> str:
        """Return 32 hex digits for a value: equal for equal values of one kind, unguessable without the key.

        `kind` is a word of ours (`phone`, `body`), so that a number and a text of the same characters differ.
        """
        return _keyed(self._fingerprints, kind, value)

    def digest(self, octets: bytes) -> str:
        """Return 32 hex digits that prove what was sent, for who has the key; faster than `fingerprint`."""
        return hashlib.blake2b(octets, key=self.fingerprint_key, digest_size=16, person=b"sceau.sent").hexdigest()

    def index(self, kind: str, value: str) -> str:
        """Return 32 hex digits under the index key, for the one secret that is looked up: reverse codes."""
        return _keyed(self._indices, kind, value)

    def seal(self, plain: bytes, row: str) -> str:
        """Return `kid.nonce.ciphertext` (base64url), AES-GCM bound to the row's id."""
        nonce = self._nonce()
        sealed = self._ciphers[self.current_sealing].encrypt(nonce, plain, row.encode())
        return f"{self.current_sealing}.{base64url.encode(nonce)}.{base64url.encode(sealed)}"

    def unseal(self, sealed: str, row: str) -> bytes:
        """Return what `seal` was given for this row; raises `Tampered` for anything else."""
        kid, _, rest = sealed.partition(".")
        nonce, _, ciphertext = rest.partition(".")
        cipher = self._ciphers.get(kid)
        if cipher is None:
            raise Tampered("sealed with a key that is not in the ring")
        try:
            return cipher.decrypt(base64url.decode(nonce), base64url.decode(ciphertext), row.encode())
        except (InvalidTag, ValueError):
            raise Tampered("a sealed value was altered or belongs to another row") from None

    def _nonce(self) -> bytes:
        # Drawn in stock: each call to the system lets go of the interpreter lock, and must win it back. Taking one out
        # is a single step, so that two threads never get the same.
        while True:
            try:
                return self._nonces.popleft()
            except IndexError:
                drawn = self.entropy(_NONCES_DRAWN * _NONCE_OCTETS)
                self._nonces.extend(drawn[at : at + _NONCE_OCTETS] for at in range(0, len(drawn), _NONCE_OCTETS))

    def _text(self) -> str:
        lines = [_HEADER]
        tables = (
            ("codes", self.current_kid, self.code_keys),
            ("sealing", self.current_sealing, self.sealing_keys),
            ("evidence", self.current_evidence, self.evidence_keys),
        )
        for name, current, keys in tables:
            lines += [f"[{name}]", f'current = "{current}"', f"[{name}.keys]"]
            lines += [f'{kid} = "{base64url.encode(key)}"' for kid, key in keys.items()]
            lines.append("")
        singles = (
            ("fingerprint", self.fingerprint_key),
            ("index", self.index_key),
            ("commitment", self.commitment_key),
        )
        for name, key in singles:
            lines += [f"[{name}]", f'key = "{base64url.encode(key)}"', ""]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Takes the pieces out of a parsed file, with errors that name the place and never the value."""

    path: Path
    content: Mapping[str, Any]

    def table(self, *names: str) -> Mapping[str, Any]:
        at: Any = self.content
        for name in names:
            at = at.get(name) if isinstance(at, dict) else None
        if not isinstance(at, dict):
            raise self.wrong(names, "is missing")
        return at

    def current(self, table: str) -> str:
        kid = self.table(table).get("current")
        if not isinstance(kid, str) or kid not in self.table(table, "keys"):
            raise self.wrong((table, "current"), "must name one of the keys")
        return kid

    def keys(self, table: str) -> dict[str, bytes]:
        return {kid: self.key(table, "keys", kid) for kid in self.table(table, "keys")}

    def key(self, *names: str) -> bytes:
        value = self.table(*names[:-1]).get(names[-1])
        try:
            key = base64url.decode(value) if isinstance(value, str) else b""
        except ValueError:
            key = b""
        if len(key) != KEY_OCTETS:
            raise self.wrong(names, f"must be {KEY_OCTETS} octets in base64url")
        return key

    def wrong(self, names: tuple[str, ...], what: str) -> SettingsError:
        return SettingsError(f"the key ring {self.path}: {'.'.join(names)} {what}")


def _keyed(begun: hmac.HMAC, kind: str, value: str) -> str:
    # A copy of what was begun with the key: it is not hashed again, and the interpreter lock is kept, which
    # `hmac.digest` lets go of for each value.
    code = begun.copy()
    code.update(f"{kind}\0{value}".encode("utf-8", "surrogatepass"))
    return code.hexdigest()[:_FINGERPRINT_CHARACTERS]


def _new_kid(entropy: Entropy) -> str:
    return f"k{entropy(4).hex()}"


def _new_evidence(entropy: Entropy) -> dict[str, Any]:
    seed = entropy(KEY_OCTETS)
    kid = key_id(Ed25519PrivateKey.from_private_bytes(seed).public_key())
    return {"current_evidence": kid, "evidence_keys": {kid: seed}, "commitment_key": entropy(KEY_OCTETS)}


def key_id(public: Ed25519PublicKey) -> str:
    """Return the id of a public evidence key: the first 16 hex digits of the SHA-256 of its 32 octets."""
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()[:16]
