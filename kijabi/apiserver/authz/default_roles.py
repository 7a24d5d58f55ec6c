"""What the default roles permit, as tables: the data behind `defaults.py`, which says how to read them.

The facts are those of Kubernetes v1.37 (`plugin/pkg/auth/authorizer/rbac/bootstrappolicy`) with the default feature
gates, so that `kubectl get clusterrole` shows what people know. A line at the margin names a role; an indented
line is a rule: verbs, API groups, resources and, if any, resource names; or verbs, `url`, paths. A line
indented further continues the one before.

`core` is the group with the empty name; `read` stands for get,list,watch; `write` for create,delete,
deletecollection,patch,update; `all` for both; the rule `events` for the right to report events.
`adds-to=x` labels a role so that the role that `sums=x` takes its rules in. `in=x` is the namespace of a Role.
"""

CLUSTER_ROLES = """
admin sums=admin
cluster-admin
  * * *
  * url *
edit adds-to=admin sums=edit
system:aggregate-to-admin adds-to=admin
  create authorization.k8s.io localsubjectaccessreviews
  all rbac.authorization.k8s.io rolebindings,roles
system:aggregate-to-edit adds-to=edit
  read core pods/attach,pods/exec,pods/portforward,pods/proxy,secrets,services/proxy
  impersonate core serviceaccounts
  write core pods,pods/attach,pods/exec,pods/portforward,pods/proxy
  create core pods/eviction
  write core configmaps,persistentvolumeclaims,replicationcontrollers,replicationcontrollers/scale,
    secrets,serviceaccounts,services,services/proxy
  create core serviceaccounts/token
  write core,events.k8s.io events
  write apps daemonsets,deployments,deployments/rollback,deployments/scale,replicasets,
    replicasets/scale,statefulsets,statefulsets/scale
  write autoscaling horizontalpodautoscalers
  write batch cronjobs,jobs
  write extensions daemonsets,deployments,deployments/rollback,deployments/scale,ingresses,
    networkpolicies,replicasets,replicasets/scale,replicationcontrollers/scale
  write policy poddisruptionbudgets
  write networking.k8s.io ingresses,networkpolicies
  all coordination.k8s.io leases
  write resource.k8s.io resourceclaims,resourceclaimtemplates
system:aggregate-to-view adds-to=view
  read core configmaps,endpoints,persistentvolumeclaims,persistentvolumeclaims/status,pods,
    replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services,services/status
  read core bindings,limitranges,namespaces/status,pods/log,pods/status,replicationcontrollers/status,
    resourcequotas,resourcequotas/status
  read core namespaces
  read core,events.k8s.io events
  read discovery.k8s.io endpointslices
  read apps controllerrevisions,daemonsets,daemonsets/status,deployments,deployments/scale,
    deployments/status,replicasets,replicasets/scale,replicasets/status,statefulsets,statefulsets/scale,
    statefulsets/status
  read autoscaling horizontalpodautoscalers,horizontalpodautoscalers/status
  read batch cronjobs,cronjobs/status,jobs,jobs/status
  read extensions daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,
    ingresses,ingresses/status,networkpolicies,replicasets,replicasets/scale,replicasets/status,
    replicationcontrollers/scale
  read policy poddisruptionbudgets,poddisruptionbudgets/status
  read networking.k8s.io ingresses,ingresses/status,networkpolicies
  read resource.k8s.io resourceclaims,resourceclaims/status,resourceclaimtemplates
system:aggregated-metrics-reader adds-to=view
  read metrics.k8s.io nodes,pods
system:auth-delegator
  create authentication.k8s.io tokenreviews
  create authorization.k8s.io subjectaccessreviews
system:basic-user
  create authorization.k8s.io selfsubjectaccessreviews,selfsubjectrulesreviews
  create authentication.k8s.io selfsubjectreviews
system:certificates.k8s.io:certificatesigningrequests:nodeclient
  create certificates.k8s.io certificatesigningrequests/nodeclient
system:certificates.k8s.io:certificatesigningrequests:selfnodeclient
  create certificates.k8s.io certificatesigningrequests/selfnodeclient
system:certificates.k8s.io:kube-apiserver-client-approver
  approve certificates.k8s.io signers kubernetes.io/kube-apiserver-client
system:certificates.k8s.io:kube-apiserver-client-kubelet-approver
  approve certificates.k8s.io signers kubernetes.io/kube-apiserver-client-kubelet
system:certificates.k8s.io:kubelet-serving-approver
  approve certificates.k8s.io signers kubernetes.io/kubelet-serving
system:certificates.k8s.io:legacy-unknown-approver
  approve certificates.k8s.io signers kubernetes.io/legacy-unknown
system:cluster-trust-bundle-discovery
  read certificates.k8s.io clustertrustbundles
system:discovery
  get url /api,/api/*,/apis,/apis/*,/healthz,/livez,/openapi,/openapi/*,/readyz,/version,/version/
system:heapster
  read core events,namespaces,nodes,pods
  read extensions deployments
system:kube-aggregator
  read core endpoints,services
system:kube-controller-manager
  events
  create coordination.k8s.io leases
  get,update coordination.k8s.io leases kube-controller-manager
  create core secrets,serviceaccounts
  delete core secrets
  get core configmaps,namespaces,secrets,serviceaccounts
  update core secrets,serviceaccounts
  create authentication.k8s.io tokenreviews
  create authorization.k8s.io subjectaccessreviews
  list,watch * *
  create core serviceaccounts/token
system:kube-dns
  list,watch core endpoints,services
system:kube-scheduler
  events
  create coordination.k8s.io leases
  get,list,update,watch coordination.k8s.io leases kube-scheduler
  all coordination.k8s.io leasecandidates
  read core nodes
  delete,get,list,watch core pods
  create core bindings,pods/binding
  patch,update core pods/status
  read core replicationcontrollers,services
  read apps,extensions replicasets
  read apps statefulsets
  read policy poddisruptionbudgets
  read core persistentvolumeclaims,persistentvolumes
  create authentication.k8s.io tokenreviews
  create authorization.k8s.io subjectaccessreviews
  read storage.k8s.io csinodes
  read storage.k8s.io volumeattachments
  read core namespaces
  read storage.k8s.io csidrivers
  read storage.k8s.io csistoragecapacities
  read resource.k8s.io deviceclasses
  get,list,patch,update,watch resource.k8s.io resourceclaims
  get,list,patch,update,watch resource.k8s.io resourceclaims/status
  update core pods/finalizers
  read resource.k8s.io resourceslices
  create,delete resource.k8s.io resourceclaims
  read resource.k8s.io devicetaintrules
  patch,update resource.k8s.io resourceclaims/binding
  read scheduling.k8s.io podgroups
  patch,update scheduling.k8s.io podgroups/status
system:kubelet-api-admin
  read core nodes
  proxy core nodes
  * core nodes/log,nodes/metrics,nodes/proxy,nodes/stats
  * core nodes/configz,nodes/healthz,nodes/pods
system:monitoring
  get url /flagz,/healthz,/healthz/*,/livez,/livez/*,/metrics,/metrics/slis,/readyz,/readyz/*,/statusz
  get core nodes/metrics
system:node
  create authentication.k8s.io tokenreviews
  create authorization.k8s.io localsubjectaccessreviews,subjectaccessreviews
  read core services
  create,get,list,watch core nodes
  patch,update core nodes/status
  patch,update core nodes
  events
  read core pods
  create,delete core pods
  patch,update core pods/status
  create core pods/eviction
  read core configmaps,secrets
  get core persistentvolumeclaims,persistentvolumes
  get core endpoints
  create,get,list,watch certificates.k8s.io certificatesigningrequests
  create,delete,get,patch,update coordination.k8s.io leases
  get storage.k8s.io volumeattachments
  create core serviceaccounts/token
  get,patch,update core persistentvolumeclaims/status
  read storage.k8s.io csidrivers
  create,delete,get,patch,update storage.k8s.io csinodes
  read node.k8s.io runtimeclasses
  get resource.k8s.io resourceclaims
  deletecollection resource.k8s.io resourceslices
  read certificates.k8s.io clustertrustbundles
  get core serviceaccounts
  create,get,list,watch certificates.k8s.io podcertificaterequests
system:node-bootstrapper
  create,get,list,watch certificates.k8s.io certificatesigningrequests
system:node-problem-detector
  get core nodes
  patch core nodes/status
  events
system:node-proxier
  list,watch core endpoints,services
  read core nodes
  events
  list,watch networking.k8s.io servicecidrs
  list,watch discovery.k8s.io endpointslices
system:persistent-volume-provisioner
  create,delete,get,list,watch core persistentvolumes
  get,list,update,watch core persistentvolumeclaims
  read storage.k8s.io storageclasses
  watch core events
  events
system:public-info-viewer
  get url /healthz,/livez,/readyz,/version,/version/
system:service-account-issuer-discovery
  get url /.well-known/openid-configuration,/.well-known/openid-configuration/,/openid/v1/jwks,
    /openid/v1/jwks/
system:volume-scheduler
  get,list,patch,update,watch core persistentvolumes
  read storage.k8s.io storageclasses
  get,list,patch,update,watch core persistentvolumeclaims
view adds-to=edit sums=view
"""

# What this project adds: its name server reads slices, its provisioner makes volumes, a proxy its node's lease, load
# balancers claim addresses, and one process runs all controllers under one identity (its rules, the union of all
# controllers', are computed).
OWN_CLUSTER_ROLES = """
system:kijabi:dns
  read core endpoints,namespaces,nodes,pods,services
  read discovery.k8s.io endpointslices
  events
system:kijabi:local-path
  get core nodes
  get,list,patch,watch core persistentvolumeclaims
  update core persistentvolumeclaims/status
  create,delete,get,list,patch,watch core persistentvolumes
  get storage.k8s.io storageclasses
  events
system:kijabi:load-balancers
  create,delete,get,list,watch networking.k8s.io ipaddresses
"""

NAMESPACE_ROLES = """
system:controller:bootstrap-signer in=kube-public
  read core configmaps
  update core configmaps cluster-info
  events
extension-apiserver-authentication-reader in=kube-system
  read core configmaps extension-apiserver-authentication
system::leader-locking-kube-controller-manager in=kube-system
  create,get,list,update,watch coordination.k8s.io leases
  create,get,list,update,watch coordination.k8s.io leasecandidates
system::leader-locking-kube-scheduler in=kube-system
  create,get,list,update,watch coordination.k8s.io leases
  create,get,list,update,watch coordination.k8s.io leasecandidates
system:controller:bootstrap-signer in=kube-system
  read core secrets
system:controller:cloud-provider in=kube-system
  create,get,list,watch core configmaps
system:controller:token-cleaner in=kube-system
  delete,get,list,watch core secrets
  events
system:kijabi:proxy in=kube-node-lease
  list,watch coordination.k8s.io leases
system:kijabi:dns in=kube-system
  create,get,patch,update core services
  create,delete,get,patch,update discovery.k8s.io endpointslices
"""

# name, the role if it is not called the same (`=`), subjects: user:…, group:…, sa:namespace/name.
CLUSTER_ROLE_BINDINGS = """
cluster-admin = group:system:masters
system:basic-user = group:system:authenticated
system:cluster-trust-bundle-discovery = group:system:serviceaccounts
system:discovery = group:system:authenticated
system:kube-controller-manager = user:system:kube-controller-manager
system:kube-dns = sa:kube-system/kube-dns
system:kube-scheduler = user:system:kube-scheduler
system:monitoring = group:system:monitoring
system:node =
system:node-proxier = user:system:kube-proxy
system:public-info-viewer = group:system:authenticated group:system:unauthenticated
system:service-account-issuer-discovery = group:system:serviceaccounts
system:volume-scheduler = user:system:kube-scheduler
system:kijabi:controllers = user:system:kube-controller-manager
system:kijabi:dns = user:system:kijabi-dns
system:kijabi:local-path = user:system:kijabi-local-path
system:kijabi:load-balancers = user:system:kube-controller-manager
"""

ROLE_BINDINGS = """
system:controller:bootstrap-signer in=kube-public = sa:kube-system/bootstrap-signer
system::extension-apiserver-authentication-reader in=kube-system extension-apiserver-authentication-reader
  user:system:kube-controller-manager user:system:kube-scheduler
system::leader-locking-kube-controller-manager in=kube-system = user:system:kube-controller-manager
  sa:kube-system/kube-controller-manager sa:kube-system/leader-election-controller
system::leader-locking-kube-scheduler in=kube-system = user:system:kube-scheduler sa:kube-system/kube-scheduler
system:controller:bootstrap-signer in=kube-system = sa:kube-system/bootstrap-signer
system:controller:cloud-provider in=kube-system = sa:kube-system/cloud-provider
system:controller:token-cleaner in=kube-system = sa:kube-system/token-cleaner
system:kijabi:dns in=kube-system = user:system:kijabi-dns
system:kijabi:proxy in=kube-node-lease = user:system:kube-proxy
"""
