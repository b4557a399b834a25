"""All that runs with rights on GitHub, or asks GitHub anything: one room, easy to read whole.

These modules run on a runner's own Python, without our dependencies: standard library, `git`,
`gh` and `cml` only. `lock_commit` alone needs the locked libraries: it reads YAML. What they take
from a pull request is hostile text.
"""
