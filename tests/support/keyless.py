"""A certificate authority and two logs, as those of sigstore, and what their signers sign, as cosign keeps it."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support import images
from tests.support.images import Image, Layer, Node
from tests.support.signatures import BUNDLE, SIGNATURE, Signer, artifact

IDENTITY, ISSUER = "release@example.com", "https://issuer.example.com"
CERTIFICATE, CHAIN = "dev.sigstore.cosign/certificate", "dev.sigstore.cosign/chain"
LOGGED = "dev.sigstore.cosign/bundle"
_START = datetime(2024, 1, 1, tzinfo=UTC)
_BEGIN = datetime(2025, 6, 1, tzinfo=UTC)
_ISSUER_OID = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_SCT_OID = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_SHA256 = ec.ECDSA(hashes.SHA256())


class Sigstore:
    """One instance of the services, with keys of its own."""

    def __init__(self) -> None:
        self._root_key, self._ct_key, self._log_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        public = self._root_key.public_key()
        self._root = (
            _certificate(name, public, _START, timedelta(days=9000))
            .subject_name(name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self._root_key, hashes.SHA256())
        )

    def trusted_root(self) -> str:
        """Return the trust root of these services, in the form of sigstore's `trusted_root.json`."""
        authority = {
            "subject": {"organization": "test", "commonName": "test authority"},
            "uri": "https://authority.example.com",
            "certChain": {"certificates": [{"rawBytes": _text(_der(self._root))}]},
            "validFor": {"start": "2024-01-01T00:00:00Z"},
        }
        return json.dumps(
            {
                "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                "tlogs": [_log("https://log.example.com", self._log_key)],
                "certificateAuthorities": [authority],
                "ctlogs": [_log("https://ct.example.com", self._ct_key)],
            }
        )

    def bundle(self, subject: Node, identity: str = IDENTITY, issuer: str = ISSUER, late_by: int = 0) -> Image:
        """Return a bundle as cosign attaches it: signed by a short-lived key, `late_by` seconds after its beginning."""
        signer = Signer()
        certificate = self._signing(signer, identity, issuer, _BEGIN)
        envelope = json.loads(signer.envelope(subject.digest, "https://sigstore.dev/cosign/sign/v1"))
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        entry = self._entry(envelope, pem, int(_BEGIN.timestamp()) + late_by)
        document = {
            "mediaType": BUNDLE,
            "verificationMaterial": {"certificate": {"rawBytes": _text(_der(certificate))}, "tlogEntries": [entry]},
            "dsseEnvelope": envelope,
        }
        content = json.dumps(document).encode()
        return artifact(BUNDLE, [Layer(content, images.digest_of(content), BUNDLE)], subject)

    def referring(self, bundle: Image, subject: Node) -> Image:
        """Return a bundle, whatever it is about, as a referrer of another node."""
        content = content_of(bundle)
        return artifact(BUNDLE, [Layer(content, images.digest_of(content), BUNDLE)], subject)

    def forged(self, signed: Node, wanted: Node) -> Image:
        """Return the bundle of one node, with another node in its statement."""
        document = json.loads(content_of(self.bundle(signed)))
        envelope = json.loads(Signer().envelope(wanted.digest, "https://sigstore.dev/cosign/sign/v1"))
        document["dsseEnvelope"]["payload"] = envelope["payload"]
        content = json.dumps(document).encode()
        return artifact(BUNDLE, [Layer(content, images.digest_of(content), BUNDLE)], wanted)

    def layer(
        self, digest: str, identity: str = IDENTITY, issuer: str = ISSUER, late_by: int = 0, *, in_ct_log: bool = True
    ) -> Layer:
        """Return a layer as cosign 2 keeps it under `.sig`: signed by a short-lived key, its parts as annotations."""
        signer = Signer()
        certificate = self._signing(signer, identity, issuer, _BEGIN, in_ct_log=in_ct_log)
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        signed = signer.layer(digest)
        said = self.logged(signed.content, signed.annotations[SIGNATURE], pem, int(_BEGIN.timestamp()) + late_by)
        annotations = {
            SIGNATURE: signed.annotations[SIGNATURE],
            LOGGED: said,
            CERTIFICATE: pem.decode(),
            CHAIN: self._root.public_bytes(serialization.Encoding.PEM).decode(),
        }
        return replace(signed, annotations=annotations)

    def logged(self, payload: bytes, signature: str, certificate: bytes, time: int) -> str:
        """Return the entry of a signature in the transparency log with the log's promise, as cosign 2 keeps both."""
        spec = {
            "data": {"hash": {"algorithm": "sha256", "value": sha256(payload).hexdigest()}},
            "signature": {"content": signature, "publicKey": {"content": _text(certificate)}},
        }
        body = _canonical({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": spec})
        entry = self._promised(body, time)
        return json.dumps({"SignedEntryTimestamp": self._promise(entry), "Payload": entry})

    def _promised(self, body: bytes, time: int) -> dict[str, Any]:
        """Return what the transparency log signs when it promises to keep an entry."""
        return {"body": _text(body), "integratedTime": time, "logID": _key_id(self._log_key).hex(), "logIndex": 0}

    def _promise(self, entry: dict[str, Any]) -> str:
        return _text(self._log_key.sign(_canonical(entry), _SHA256))

    def _signing(
        self, signer: Signer, identity: str, issuer: str, begin: datetime, *, in_ct_log: bool = True
    ) -> x509.Certificate:
        """Return the certificate of a key, with the timestamp of the certificate log in it (RFC 6962)."""
        public = signer.key.public_key()
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._root_key.public_key())
        builder = (
            _certificate(self._root.subject, public, begin, timedelta(minutes=10))
            .subject_name(x509.Name([]))
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(authority, critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(identity)]), critical=True)
            .add_extension(x509.UnrecognizedExtension(_ISSUER_OID, issuer.encode()), critical=False)
        )
        if not in_ct_log:
            return builder.sign(self._root_key, hashes.SHA256())
        bare = builder.sign(self._root_key, hashes.SHA256()).tbs_certificate_bytes
        stamp = int(begin.timestamp() * 1000).to_bytes(8)
        signed = b"\0\0" + stamp + b"\0\1" + _key_id(self._root_key) + len(bare).to_bytes(3) + bare + b"\0\0"
        signature = self._ct_key.sign(signed, _SHA256)
        sct = b"\0" + _key_id(self._ct_key) + stamp + b"\0\0" + b"\4\3" + _sized(signature)
        stamps = _sized(_sized(sct))
        in_der = b"\x04" + (bytes([len(stamps)]) if len(stamps) < 128 else b"\x81" + bytes([len(stamps)])) + stamps
        stamped = builder.add_extension(x509.UnrecognizedExtension(_SCT_OID, in_der), critical=False)
        return stamped.sign(self._root_key, hashes.SHA256())

    def _entry(self, envelope: dict[str, Any], pem: bytes, time: int) -> dict[str, Any]:
        """Return the entry of a signature in the transparency log, which has no other."""
        payload = base64.b64decode(envelope["payload"])
        signatures = [{"signature": each["sig"], "verifier": _text(pem)} for each in envelope["signatures"]]
        spec = {
            "envelopeHash": {"algorithm": "sha256", "value": sha256(_canonical(envelope)).hexdigest()},
            "payloadHash": {"algorithm": "sha256", "value": sha256(payload).hexdigest()},
            "signatures": signatures,
        }
        body = _canonical({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
        log = _key_id(self._log_key)
        promise = self._promise(self._promised(body, time))
        root = sha256(b"\0" + body).digest()
        note = f"log.example.com - 1\n1\n{_text(root)}\n"
        mark = _text(log[:4] + self._log_key.sign(note.encode(), _SHA256))
        return {
            "logIndex": "0",
            "logId": {"keyId": _text(log)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(time),
            "inclusionPromise": {"signedEntryTimestamp": promise},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": _text(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": f"{note}\n\N{EM DASH} log.example.com {mark}\n"},
            },
            "canonicalizedBody": _text(body),
        }


def content_of(bundle: Image) -> bytes:
    """Return the bundle that is the layer of a referrer."""
    return bundle.blobs[bundle.document["layers"][0]["digest"]]


def _certificate(issuer: x509.Name, key: Any, begin: datetime, lasts: timedelta) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().issuer_name(issuer).public_key(key).serial_number(x509.random_serial_number())
    return builder.not_valid_before(begin).not_valid_after(begin + lasts)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs,
        key_cert_sign=not signs,
        crl_sign=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _log(url: str, key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    public = {
        "rawBytes": _text(_public(key)),
        "keyDetails": "PKIX_ECDSA_P256_SHA_256",
        "validFor": {"start": "2024-01-01T00:00:00Z"},
    }
    return {"baseUrl": url, "hashAlgorithm": "SHA2_256", "publicKey": public, "logId": {"keyId": _text(_key_id(key))}}


def _public(key: ec.EllipticCurvePrivateKey) -> bytes:
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.DER, kind)


def _key_id(key: ec.EllipticCurvePrivateKey) -> bytes:
    return sha256(_public(key)).digest()


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def _sized(content: bytes) -> bytes:
    return len(content).to_bytes(2) + content


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _canonical(said: Any) -> bytes:
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
