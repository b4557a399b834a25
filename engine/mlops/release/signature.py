"""The expected signer of the images: the owner's key, or the release workflow."""

import os

_ISSUER = "https://token.actions.githubusercontent.com"


def signer() -> list[str]:
    """Return the options of `cosign verify` that name the expected signer.

    It is the owner of the private key to COSIGN_PUBLIC_KEY; if that is unset, the workflow
    release.yml on the branch DEFAULT_BRANCH (main if unset) of the repository GITHUB_REPOSITORY.
    """
    if os.environ.get("COSIGN_PUBLIC_KEY"):
        return ["--key=env://COSIGN_PUBLIC_KEY", "--insecure-ignore-tlog=true"]
    server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
    home = f"{server}/{os.environ.get('GITHUB_REPOSITORY', 'OWNER/NAME')}"
    branch = os.environ.get("DEFAULT_BRANCH", "main")
    workflow = f"{home}/.github/workflows/release.yml@refs/heads/{branch}"
    return [f"--certificate-identity={workflow}", f"--certificate-oidc-issuer={_ISSUER}"]
