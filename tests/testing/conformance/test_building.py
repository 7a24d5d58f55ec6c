"""How the module is made to build, and which image a test means."""

from __future__ import annotations

import pytest

from kijabi.base.errors import ConfigError
from kijabi.testing.conformance import build, images

GO_MOD = """\
module k8s.io/kubernetes

go 1.26.0

require (
\tgithub.com/spf13/cobra v1.10.0
\tk8s.io/api v0.0.0
\tk8s.io/api-server v0.0.0
\tk8s.io/klog/v2 v2.130.1
)

replace (
\tk8s.io/api => ./staging/src/k8s.io/api
\texample.com/other => ../other
)
"""


def test_staging_modules_become_the_published_ones() -> None:
    text = build.published(GO_MOD, "v1.37.2")
    assert "\tk8s.io/api => k8s.io/api v0.37.2\n" in text
    assert "\tk8s.io/api v0.37.2\n" in text
    assert "\tk8s.io/api-server v0.0.0\n" in text  # not among the replaced
    assert "\texample.com/other => ../other\n" in text
    assert "\tk8s.io/klog/v2 v2.130.1\n" in text
    assert "staging" not in text


def test_a_go_mod_without_staging_stays() -> None:
    plain = "module a\n\ngo 1.26\n"
    assert build.published(plain, "v1.37.0") == plain


def test_programs_are_stamped_with_the_version() -> None:
    flags = build.linker_flags("v1.37.2").split(" -X ")
    assert flags[0] == "-s -w"
    assert flags[1:] == [
        "k8s.io/component-base/version.gitVersion=v1.37.2",
        "k8s.io/component-base/version.gitMajor=1",
        "k8s.io/component-base/version.gitMinor=37",
    ]


MANIFEST = """\
\tinitRegistry = RegistryList{
\t\tPromoterE2eRegistry:      "registry.example/e2e",
\t\tGcRegistry:               "registry.example",
\t}
\tconfigs[Agnhost] = Config{list.PromoterE2eRegistry, "agnhost", "2.66.1"}
\tconfigs[Pause] = Config{list.GcRegistry, "pause", "3.10.2"}
"""


def test_images_are_called_as_the_module_says() -> None:
    assert images.references(MANIFEST) == {
        "Agnhost": "registry.example/e2e/agnhost:2.66.1",
        "Pause": "registry.example/pause:3.10.2",
    }


def test_an_unknown_registry_is_told() -> None:
    with pytest.raises(ConfigError, match="NoRegistry"):
        images.references(MANIFEST.replace("list.GcRegistry", "list.NoRegistry"))


def test_each_image_is_built_once() -> None:
    names = [name for image in images.IMAGES for name in image.names]
    assert len(names) == len(set(names))
