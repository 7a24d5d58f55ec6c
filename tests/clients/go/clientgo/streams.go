package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/exec"
)

// execute runs a command in a pod over SPDY or a WebSocket: `exec spdy POD COMMAND…`.
func execute(ctx context.Context, w *world) error {
	protocol, pod, command := w.arguments[0], w.arguments[1], w.arguments[2:]
	request := w.set.CoreV1().RESTClient().Post().Namespace(w.namespace).Resource("pods").Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Command: command, Stdin: true, Stdout: true, Stderr: true}, scheme.ParameterCodec)
	var executor remotecommand.Executor
	var err error
	if protocol == "spdy" {
		executor, err = remotecommand.NewSPDYExecutor(w.config, http.MethodPost, request.URL())
	} else {
		executor, err = remotecommand.NewWebSocketExecutor(w.config, http.MethodGet, request.URL().String())
	}
	if err != nil {
		return err
	}
	var out, complaints strings.Builder
	err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: os.Stdin, Stdout: &out, Stderr: &complaints})
	say("out %q err %q", out.String(), complaints.String())
	if ended, is := err.(exec.CodeExitError); is {
		say("exit code %d", ended.Code)
		return nil
	}
	return err
}

// logs follows a pod's log until it ends.
func logs(ctx context.Context, w *world) error {
	stream, err := w.set.CoreV1().Pods(w.namespace).GetLogs(w.arguments[0], &corev1.PodLogOptions{Follow: true}).Stream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	for lines := bufio.NewScanner(stream); lines.Scan(); {
		say("log %s", lines.Text())
	}
	return nil
}

// forward sends a line of HTTP to a port of a pod: `forward spdy POD PORT`.
func forward(ctx context.Context, w *world) error {
	protocol, pod, port := w.arguments[0], w.arguments[1], w.arguments[2]
	where := w.set.CoreV1().RESTClient().Post().Namespace(w.namespace).Resource("pods").Name(pod).SubResource("portforward").URL()
	var dialer httpstream.Dialer
	if protocol == "spdy" {
		transport, upgrader, err := spdy.RoundTripperFor(w.config)
		if err != nil {
			return err
		}
		dialer = spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, where)
	} else {
		var err error
		if dialer, err = portforward.NewSPDYOverWebsocketDialer(where, w.config); err != nil {
			return err
		}
	}
	stop, ready := make(chan struct{}), make(chan struct{})
	forwarder, err := portforward.New(dialer, []string{"0:" + port}, stop, ready, io.Discard, os.Stderr)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- forwarder.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-ended:
		return fmt.Errorf("forwarding: %w", err)
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		return err
	}
	answer, err := http.Get("http://" + net.JoinHostPort("127.0.0.1", fmt.Sprint(ports[0].Local)) + "/")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	say("%d %q", answer.StatusCode, body)
	close(stop)
	if forwarded := <-ended; err == nil {
		err = forwarded
	}
	return err
}

// lead stands for election on a Lease under the given name, and says when it leads and whom it sees lead.
func lead(ctx context.Context, w *world) error {
	identity := w.arguments[0]
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Name: "election", Namespace: w.namespace},
		Client:     w.set.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
	}
	leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
		Lock: lock, ReleaseOnCancel: true,
		LeaseDuration: 4 * time.Second, RenewDeadline: 3 * time.Second, RetryPeriod: 500 * time.Millisecond,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { say("%s leads", identity) },
			OnStoppedLeading: func() { say("%s stopped", identity) },
			OnNewLeader:      func(leader string) { say("%s sees %s", identity, leader) },
		},
	})
	return nil
}
