"""Volumes of pods, from what the API says to what containers see.

Read `manager.py` first: it sets up, updates and takes down. `payload.py` decides purely what the files of ConfigMap,
Secret, downward API and projected volumes hold; `atomic.py` puts them in place at once; `tokens.py` gets and renews
service account tokens. `persistent.py` brings what outlives the pod, by its claim. All effects go through `files.py`,
whose `NullFiles` lets a simulation run the rest unchanged; `subpaths.py` mounts parts of volumes.
"""
