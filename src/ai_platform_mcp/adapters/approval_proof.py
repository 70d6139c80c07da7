"""What an approval proves: keys from passphrases, the server's own key, and what is signed with them."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from ai_platform_mcp.core.errors import Misconfigured
from ai_platform_mcp.core.model import canonical_json, digest_of, type_json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from ai_platform_mcp.adapters.journal.approvals import Approver, Request, Vote

SCRYPT = {"n": 2**15, "r": 8, "p": 3}
"""32 MB and about a fifth of a second per guess; one of the settings of OWASP's password storage cheat sheet."""


def passphrase_key(passphrase: str, salt: str, parameters: dict[str, int]) -> Ed25519PrivateKey:
    """Derive the approver's key. Takes a fifth of a second on purpose: call it on a worker thread."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    word = unicodedata.normalize("NFKC", passphrase).encode()  # one word however the keyboard composes its accents
    seed = Scrypt(salt=bytes.fromhex(salt), length=32, n=parameters["n"], r=parameters["r"], p=parameters["p"]).derive(
        word
    )
    return Ed25519PrivateKey.from_private_bytes(seed)


def server_key(file: Path) -> Ed25519PrivateKey:
    """Return the server's key; the file is made on first use, readable by its owner only.

    Raises:
        Misconfigured: others may read the file, or it holds no key.
    """
    import os
    import secrets

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not file.exists():
        fresh = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
            handle.write(secrets.token_hex(32))
            handle.flush()
            os.fsync(handle.fileno())
        try:
            os.link(fresh, file)  # whoever links first wins, and the file is whole from the start
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    if os.name == "posix" and file.stat().st_mode & 0o077:
        raise Misconfigured(
            f"The server's key {file} can be read by others.",
            cause="Whoever reads it can sign approvals in the server's name.",
            remedy=f"chmod 600 {file}, and if others had access: remove it; open approvals must then be given again.",
        )
    try:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(file.read_text().strip()))
    except ValueError:
        raise Misconfigured(f"{file} holds no key.", remedy="Remove it; a new one is made.") from None


def public_text(key: Ed25519PrivateKey) -> str:
    """Return the public half, as hexadecimal digits."""
    return key.public_key().public_bytes_raw().hex()


def sign(key: Ed25519PrivateKey, body: type_json) -> str:
    """Return the signature over the canonical JSON, as hexadecimal digits."""
    return key.sign(canonical_json(body)).hex()


def verifies(public_key: str, signature: str, body: type_json) -> bool:
    """Tell whether the signature is this key's over this body; anything malformed is a no."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        key.verify(bytes.fromhex(signature), canonical_json(body))
    except (InvalidSignature, ValueError):
        return False
    return True


def request_body(request: Request) -> type_json:
    """Return what the server signs when it asks: nobody may change later who asked, for what, or who must agree."""
    return {
        "schema": "ai-platform.approval-request/v1",
        "record": request.id,
        "plan_digest": request.plan_digest,
        "policy_revision": request.policy_revision,
        "requester": request.requester,
        "requirements": [requirement.model_dump(mode="json") for requirement in request.requirements],
        "expires_at": request.expires_at.isoformat(),
    }


def vote_body(request: Request, vote: Vote) -> type_json:
    """Return what an approver signs: the plan by digest, the law by revision, and the request as it was asked."""
    return {
        "schema": "ai-platform.approval-vote/v1",
        "request": digest_of(request_body(request)),
        "record": request.id,
        "plan_digest": request.plan_digest,
        "policy_revision": request.policy_revision,
        "expires_at": request.expires_at.isoformat(),
        "approver": vote.approver_id,
        "verdict": vote.verdict,
        "method": vote.method,
        "roles": list(vote.roles),
    }


def approver_body(approver: Approver) -> type_json:
    """Return what whoever vouches for a new approver signs."""
    return {
        "schema": "ai-platform.approver/v1",
        "approver": approver.id,
        "roles": list(approver.roles),
        "salt": approver.salt,
        "parameters": approver.parameters,
        "public_key": approver.public_key,
        "enrolled_by": approver.enrolled_by,
    }


def vouched(approver: Approver, approvers: dict[str, Approver], server: str) -> bool:
    """Tell whether the enrolment leads, signature by signature, back to the server's key."""
    seen: set[str] = set()
    while approver.id not in seen:
        seen.add(approver.id)
        if not approver.enrolled_by:
            return verifies(server, approver.signature, approver_body(approver))
        voucher = approvers.get(approver.enrolled_by)
        if voucher is None or not verifies(voucher.public_key, approver.signature, approver_body(approver)):
            return False
        approver = voucher
    return False


def counts(request: Request, vote: Vote, approvers: dict[str, Approver], server: str) -> bool:
    """Tell whether a vote is genuine, and cast by somebody other than the requester (``self`` votes: by the requester)."""
    if (vote.method == "self") != (vote.approver_id == request.requester):
        return False
    if vote.method in {"login", "self"}:
        return verifies(server, vote.signature, vote_body(request, vote))
    approver = approvers.get(vote.approver_id)
    return (
        approver is not None
        and vote.method == "passphrase"
        and vote.roles == approver.roles
        and vouched(approver, approvers, server)
        and verifies(approver.public_key, vote.signature, vote_body(request, vote))
    )


def satisfied(request: Request, votes: tuple[Vote, ...]) -> bool:
    """Tell whether genuine ``votes`` meet every requirement: enough distinct approvers of its roles or names, no rejection."""
    if any(vote.verdict != "approve" for vote in votes):
        return False
    return bool(request.requirements) and all(
        len({vote.approver_id for vote in votes if eligible(requirement.approvers, vote)})
        >= max(1, requirement.min_approvals)
        for requirement in request.requirements
    )


def eligible(wanted: tuple[str, ...], vote: Vote) -> bool:
    """Tell whether a voter is among the wanted: by name, by role, or in person where ``self`` is wanted."""
    if vote.method == "self":
        return "self" in wanted
    return bool((set(wanted) - {"self"}) & {vote.approver_id, *vote.roles})


def proven(request: Request, approvers: dict[str, Approver], server: str) -> bool:
    """Judge a record by its signatures alone."""
    if not verifies(server, request.seal, request_body(request)):
        return False
    genuine = tuple(vote for vote in request.votes if counts(request, vote, approvers, server))
    return satisfied(request, genuine)
