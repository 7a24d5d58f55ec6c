"""What the command line says about a running cluster: `status`, `logs`, `kubeconfig`, and `doctor` about the machine.

Nothing here starts or stops anything; that is `kijabi.cmd`, whose `main` gathers all commands.
"""
