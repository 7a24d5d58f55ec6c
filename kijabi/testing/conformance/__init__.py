"""The outside judge: Kubernetes' own conformance tests against a cluster of ours (`make conformance`).

    python -m kijabi.testing.conformance build             the test binary, ginkgo, kubectl and the test images
    python -m kijabi.testing.conformance run [--sig …]     a cluster of two nodes, the tests, the results
    python -m kijabi.testing.conformance run --failed      only what failed the last time
    python -m kijabi.testing.conformance list --check      the tests of the binary against conformance/tests.txt

`build` makes programs from the module k8s.io/kubernetes of the Go module proxy, `images` makes the containers that the
tests run, `registry` lets nodes pull them, `ginkgo` turns wishes into a command line and its output into progress,
`run` has the cluster, and `results` keeps what came out in `conformance/`. All that is built lies in `$KIJABI_CACHE`
(`~/.cache/kijabi`); nothing of Kubernetes' code enters the repository.
"""
