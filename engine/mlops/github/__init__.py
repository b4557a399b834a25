"""All code that runs with write access to GitHub or calls its API, in one package for review.

These modules run on a runner's own Python, without our dependencies: standard library, `git`,
`gh` and `cml` only. Only `lock_commit` needs the locked libraries, to read YAML. Any input from a
pull request is untrusted.
"""
