"""Authorities and certificates for tests, made by openssl."""

import os
import subprocess


def openssl(directory, *words):
    done = subprocess.run(["openssl", *words], cwd=directory, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {words[0]}: {done.stderr.strip()}")


KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def authority(directory, name):
    """Makes an authority: `name`.crt and `name`.key."""
    openssl(directory, "req", "-x509", *KEY, "-keyout", f"{name}.key", "-out", f"{name}.crt", "-days", "90", "-subj", f"/CN={name}")


def sign(directory, by, name, names="DNS:localhost"):
    """Makes a certificate of this common name, and its key, signed by an authority."""
    openssl(directory, "req", "-new", *KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    extensions = os.path.join(directory, f"{name}.ext")
    with open(extensions, "w") as file:
        file.write(f"subjectAltName={names}\n")
    openssl(
        directory, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{by}.crt", "-CAkey", f"{by}.key", "-CAcreateserial",
        "-days", "90", "-extfile", extensions, "-out", f"{name}.crt",
    )
