"""Run the repository's GitHub workflows for real, against a GitHub of our own on loopback.

    with GitHub(work_tree, tmp_path / "github") as github:
        github.open_pull("change")
        event = events.pull_request(github, 1)
        run = run_workflow(github, "pull-request.yml", event, Settings(secrets={"KEY": "x"}))
        assert run.jobs == {"review": "success"}, run.log
        assert github.comments(1) == []

act executes the file (no containers), `actions/` holds our stand-ins of third-party actions,
`bin/` those of cml and gh. What act does not evaluate (filters of `on:`, concurrency,
environments, job timeouts) needs static tests. Rights of the token are the union over a
workflow's jobs; for forks and Dependabot they are read-only and there are no secrets.
"""
