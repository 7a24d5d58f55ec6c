// A small operator on controller-runtime: for each Website a Deployment of its own, the number of ready replicas in the
// status, and a finalizer that leaves a ConfigMap behind as its farewell. It finds its cluster by KUBECONFIG or as a pod
// does; tests/clients/test_controller_runtime.py runs it both ways. The argument is its name in the election.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/record"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const finalizer = "kijabi.example/farewell"

type operator struct {
	client.Client
	events record.EventRecorder
}

// Reconcile brings what a Website needs from what there is; it is called again until nothing is left to do.
func (o *operator) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	site := &Website{}
	if err := o.Get(ctx, request.NamespacedName, site); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !site.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, o.farewell(ctx, site)
	}
	if controllerutil.AddFinalizer(site, finalizer) {
		return ctrl.Result{}, o.Update(ctx, site)
	}
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: site.Name, Namespace: site.Namespace}}
	done, err := controllerutil.CreateOrPatch(ctx, o.Client, deployment, func() error {
		shape(deployment, site)
		return controllerutil.SetControllerReference(site, deployment, o.Scheme())
	})
	if err != nil {
		return ctrl.Result{}, err
	}
	if done == controllerutil.OperationResultCreated {
		o.events.Eventf(site, corev1.EventTypeNormal, "Created", "made deployment %s", deployment.Name)
	}
	before := site.DeepCopyObject().(*Website)
	site.Status.Ready = deployment.Status.ReadyReplicas
	meta.SetStatusCondition(&site.Status.Conditions, condition(site))
	return ctrl.Result{}, o.Status().Patch(ctx, site, client.MergeFrom(before))
}

func (o *operator) farewell(ctx context.Context, site *Website) error {
	if !controllerutil.ContainsFinalizer(site, finalizer) {
		return nil
	}
	note := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: site.Name + "-farewell", Namespace: site.Namespace},
		Data:       map[string]string{"text": site.Spec.Text},
	}
	if err := o.Create(ctx, note); err != nil && !errors.IsAlreadyExists(err) {
		return err
	}
	controllerutil.RemoveFinalizer(site, finalizer)
	return o.Update(ctx, site)
}

func shape(deployment *appsv1.Deployment, site *Website) {
	labels := map[string]string{"website": site.Name}
	deployment.Spec.Replicas = &site.Spec.Replicas
	deployment.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	deployment.Spec.Template.Labels = labels
	containers := deployment.Spec.Template.Spec.Containers
	if len(containers) == 0 {
		containers = []corev1.Container{{Name: "site"}}
	}
	containers[0].Image = "busybox:1.35"
	containers[0].Command = []string{"sh", "-c", "echo \"$TEXT\"; sleep infinity"}
	containers[0].Env = []corev1.EnvVar{{Name: "TEXT", Value: site.Spec.Text}}
	deployment.Spec.Template.Spec.Containers = containers
}

func condition(site *Website) metav1.Condition {
	status, reason := metav1.ConditionFalse, "Starting"
	if site.Status.Ready == site.Spec.Replicas {
		status, reason = metav1.ConditionTrue, "AllReady"
	}
	return metav1.Condition{Type: "Ready", Status: status, Reason: reason, ObservedGeneration: site.Generation}
}

func main() {
	ctrl.SetLogger(zap.New())
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run() error {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return err
	}
	register(scheme)
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	namespace := os.Getenv("NAMESPACE")
	lease, renew, retry := 10*time.Second, 8*time.Second, 500*time.Millisecond
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme, Metrics: server.Options{BindAddress: "0"},
		Cache:          cache.Options{DefaultNamespaces: map[string]cache.Config{namespace: {}}},
		LeaderElection: true, LeaderElectionID: "website-operator", LeaderElectionNamespace: namespace,
		LeaseDuration: &lease, RenewDeadline: &renew, RetryPeriod: &retry,
	})
	if err != nil {
		return err
	}
	me := &operator{manager.GetClient(), manager.GetEventRecorderFor("website-operator")}
	err = ctrl.NewControllerManagedBy(manager).For(&Website{}).Owns(&appsv1.Deployment{}).Complete(me)
	if err != nil {
		return err
	}
	go func() {
		<-manager.Elected()
		fmt.Println("elected", os.Getenv("IDENTITY"))
	}()
	return manager.Start(ctrl.SetupSignalHandler())
}
