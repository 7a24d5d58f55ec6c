package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	applyapps "k8s.io/client-go/applyconfigurations/apps/v1"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"
	applymeta "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/pager"
	"k8s.io/client-go/util/retry"
)

// objects makes, reads, changes, watches and deletes a ConfigMap in every way there is.
func objects(ctx context.Context, w *world) error {
	maps := w.set.CoreV1().ConfigMaps(w.namespace)
	list, err := maps.List(ctx, metav1.ListOptions{LabelSelector: "by=client-go"})
	if err != nil {
		return err
	}
	watched, err := maps.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion, LabelSelector: "by=client-go"})
	if err != nil {
		return err
	}
	defer watched.Stop()
	made, err := maps.Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "go-", Labels: map[string]string{"by": "client-go"}},
		Data:       map[string]string{"a": "1"},
		BinaryData: map[string][]byte{"raw": {0, 255}},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	patches := []struct {
		kind types.PatchType
		body string
	}{
		{types.MergePatchType, `{"data":{"merge":"yes"}}`},
		{types.StrategicMergePatchType, `{"data":{"strategic":"yes"}}`},
		{types.JSONPatchType, `[{"op":"add","path":"/data/json","value":"yes"}]`},
	}
	for _, patch := range patches {
		if _, err := maps.Patch(ctx, made.Name, patch.kind, []byte(patch.body), metav1.PatchOptions{}); err != nil {
			return err
		}
	}
	made.Data["stale"] = "yes"
	_, err = maps.Update(ctx, made, metav1.UpdateOptions{})
	say("stale update is a conflict: %t", errors.IsConflict(err))
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		fresh, err := maps.Get(ctx, made.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		fresh.Data["update"] = "yes"
		_, err = maps.Update(ctx, fresh, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return err
	}
	last, err := maps.Get(ctx, made.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	say("data %v raw %v", last.Data, last.BinaryData)
	wrong := types.UID("another")
	err = maps.Delete(ctx, made.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &wrong}})
	say("another object's uid is a conflict: %t", errors.IsConflict(err))
	if err := maps.Delete(ctx, made.Name, metav1.DeleteOptions{}); err != nil {
		return err
	}
	_, err = maps.Get(ctx, made.Name, metav1.GetOptions{})
	say("gone: %t", errors.IsNotFound(err))
	for event := range watched.ResultChan() {
		accessor, err := meta.Accessor(event.Object)
		if err != nil {
			return fmt.Errorf("event %s: %w", event.Type, err)
		}
		say("%s %t", event.Type, accessor.GetName() == made.Name)
		if event.Type == "DELETED" {
			return nil
		}
	}
	return fmt.Errorf("the watch ended early")
}

// apply owns fields of a Deployment by two managers; the second meets the first.
func apply(ctx context.Context, w *world) error {
	deployments := w.set.AppsV1().Deployments(w.namespace)
	labels := map[string]string{"app": "applied"}
	wanted := func(replicas int32) *applyapps.DeploymentApplyConfiguration {
		return applyapps.Deployment("applied", w.namespace).WithSpec(applyapps.DeploymentSpec().
			WithReplicas(replicas).
			WithSelector(applymeta.LabelSelector().WithMatchLabels(labels)).
			WithTemplate(applycore.PodTemplateSpec().WithLabels(labels).WithSpec(applycore.PodSpec().
				WithContainers(applycore.Container().WithName("c").WithImage("busybox:1.35").
					WithCommand("sh", "-c", "sleep infinity")))))
	}
	if _, err := deployments.Apply(ctx, wanted(1), metav1.ApplyOptions{FieldManager: "first"}); err != nil {
		return err
	}
	_, err := deployments.Apply(ctx, wanted(2), metav1.ApplyOptions{FieldManager: "second"})
	say("conflict: %t: %v", errors.IsConflict(err), err)
	changed, err := deployments.Apply(ctx, wanted(2), metav1.ApplyOptions{FieldManager: "second", Force: true})
	if err != nil {
		return err
	}
	say("replicas %d", *changed.Spec.Replicas)
	for _, manager := range []string{"first", "second"} {
		own, err := applyapps.ExtractDeployment(changed, manager)
		if err != nil {
			return err
		}
		say("%s owns replicas: %t", manager, own.Spec.Replicas != nil)
	}
	return deployments.Delete(ctx, "applied", metav1.DeleteOptions{})
}

// inform keeps a cache of ConfigMaps and prints what changes, until it is interrupted.
func inform(ctx context.Context, w *world) error {
	factory := informers.NewSharedInformerFactoryWithOptions(w.set, 0, informers.WithNamespace(w.namespace))
	informer := factory.Core().V1().ConfigMaps().Informer()
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(thing any) { say("add %s", thing.(*corev1.ConfigMap).Name) },
		UpdateFunc: func(_, thing any) {
			say("update %s %v", thing.(*corev1.ConfigMap).Name, thing.(*corev1.ConfigMap).Data)
		},
		DeleteFunc: func(thing any) {
			name, _ := cache.DeletionHandlingMetaNamespaceKeyFunc(thing)
			say("delete %s", name)
		},
	})
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	say("synced %d", len(informer.GetStore().ListKeys()))
	<-ctx.Done()
	return nil
}

// pages makes as many ConfigMaps as it is told, reads them in pages of ten, and deletes them at once.
func pages(ctx context.Context, w *world) error {
	count, err := strconv.Atoi(w.arguments[0])
	if err != nil {
		return err
	}
	maps := w.set.CoreV1().ConfigMaps(w.namespace)
	chosen := metav1.ListOptions{LabelSelector: "paged=yes"}
	for n := range count {
		thing := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("page-%03d", n), Labels: map[string]string{"paged": "yes"},
		}}
		if _, err := maps.Create(ctx, thing, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	asked := 0
	paged := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		asked++
		return maps.List(ctx, options)
	})
	paged.PageSize = 10
	seen := map[string]bool{}
	err = paged.EachListItem(ctx, chosen, func(thing runtime.Object) error {
		seen[thing.(*corev1.ConfigMap).Name] = true
		return nil
	})
	if err != nil {
		return err
	}
	say("%d items in %d pages", len(seen), asked)
	return maps.DeleteCollection(ctx, metav1.DeleteOptions{}, chosen)
}

// scale goes through the scale subresource of a Deployment.
func scale(ctx context.Context, w *world) error {
	deployments := w.set.AppsV1().Deployments(w.namespace)
	var changed *autoscalingv1.Scale
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		current, err := deployments.GetScale(ctx, w.arguments[0], metav1.GetOptions{})
		if err != nil {
			return err
		}
		current.Spec.Replicas = 2
		changed, err = deployments.UpdateScale(ctx, w.arguments[0], current, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return err
	}
	say("scaled to %d, selector %s", changed.Spec.Replicas, changed.Status.Selector)
	return nil
}

// evict asks for a pod's eviction and says what came of it.
func evict(ctx context.Context, w *world) error {
	err := w.set.PolicyV1().Evictions(w.namespace).Evict(ctx, &policyv1.Eviction{
		ObjectMeta: metav1.ObjectMeta{Name: w.arguments[0], Namespace: w.namespace},
	})
	if errors.IsTooManyRequests(err) {
		say("refused: %v", err)
		return nil
	}
	say("evicted")
	return err
}

// custom finds a kind by discovery and works with it through the dynamic client.
func custom(ctx context.Context, w *world) error {
	groups, err := restmapper.GetAPIGroupResources(w.set.Discovery())
	if err != nil {
		return err
	}
	kind := schema.ParseGroupKind(w.arguments[0])
	mapping, err := restmapper.NewDiscoveryRESTMapper(groups).RESTMapping(kind)
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(w.config)
	if err != nil {
		return err
	}
	things := client.Resource(mapping.Resource).Namespace(w.namespace)
	thing := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": mapping.GroupVersionKind.GroupVersion().String(), "kind": kind.Kind,
		"metadata": map[string]any{"name": "dynamic"}, "spec": map[string]any{"text": "by hand"},
	}}
	if _, err := things.Create(ctx, thing, metav1.CreateOptions{}); err != nil {
		return err
	}
	body := []byte(`{"status":{"replicas":1}}`)
	if _, err := things.Patch(ctx, "dynamic", types.MergePatchType, body, metav1.PatchOptions{}, "status"); err != nil {
		return err
	}
	got, err := things.Get(ctx, "dynamic", metav1.GetOptions{})
	if err != nil {
		return err
	}
	ready, _, err := unstructured.NestedInt64(got.Object, "status", "replicas")
	if err != nil {
		return err
	}
	say("%s %s, status %d, %t", mapping.Resource.Resource, got.GetName(), ready, time.Since(got.GetCreationTimestamp().Time) < time.Hour)
	return things.Delete(ctx, "dynamic", metav1.DeleteOptions{})
}
