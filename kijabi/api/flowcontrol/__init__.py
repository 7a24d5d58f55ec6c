"""flowcontrol.apiserver.k8s.io/v1: how the server shares itself among requests.

`flowschema.py` sorts requests, `prioritylevelconfiguration.py` says what each sort gets.
"""
