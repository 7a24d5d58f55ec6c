"""What OpenAPI says about the members that all objects have; `kubectl explain` shows it.

Types describe themselves by their docstrings (`schema.py`). Some first words here are what clients' tests look for.
"""

from __future__ import annotations

API_VERSION = "APIVersion defines the group and version of this representation of the object, such as apps/v1."
KIND = "Kind is what the object is, as one word in CamelCase, such as Deployment."
METADATA = "Standard object's metadata: name, namespace, labels, annotations, owners."
LIST_METADATA = "Standard list metadata: the version of the list, and how to read on."

OBJECT_META = {
    "name": "Name is unique within the namespace, or the cluster, among objects of the same resource.",
    "generateName": "GenerateName is the beginning of a name that the server completes, where no name is given.",
    "namespace": "Namespace is where the object lives; empty for what belongs to the whole cluster.",
    "selfLink": "SelfLink is no longer filled in.",
    "uid": "UID tells this object from every other one, in time too; the server sets it.",
    "resourceVersion": "ResourceVersion tells one state of the object from another; send it back against lost updates.",
    "generation": "Generation counts the desired states; the server sets it.",
    "creationTimestamp": "CreationTimestamp is a timestamp of when the server accepted the object, in UTC.",
    "deletionTimestamp": "DeletionTimestamp is when the object was asked to go, or will go; the server sets it.",
    "deletionGracePeriodSeconds": "DeletionGracePeriodSeconds is how long it may take to go; the server sets it.",
    "labels": "Labels are short names and values by which objects are selected.",
    "annotations": "Annotations are names and values of any length that tools keep with the object.",
    "ownerReferences": "OwnerReferences are the objects that this one depends on: it goes when all of them have gone.",
    "finalizers": "Finalizers must be removed before the object goes; each by whoever put it there.",
    "managedFields": "ManagedFields is which manager set which fields, for server-side apply.",
}
