"""Container images without a registry, made of this machine's Debian packages: pause, busybox, nginx, redis, python.

    python -m kijabi.testing.images build            all of them, into the cache
    python -m kijabi.testing.images import [NAME…]   into every node that runs on this machine, or with --data-dir DIR
                                                     into those of one cluster
    python -m kijabi.testing.images list             what is in the cache, by name and tag

`recipes.py` says what each image is made of, `debian.py` fetches packages and what they depend on, `build.py`
unpacks and packs. An image is called as on Docker Hub, with the version that Debian has:
`docker.io/library/nginx:1.22` on Debian 12. It is not Docker Hub's image: one layer, and busybox's tools beside its
own program. The same packages give the same digest. The cache is `~/.cache/kijabi/images`, or what `--cache` says.
"""
