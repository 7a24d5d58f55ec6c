// What programs written with client-go do all day, one verb each; tests/clients/test_client_go.py runs them and reads
// what they print: one line for each thing that happened.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// world is what each verb works with.
type world struct {
	config    *rest.Config
	set       *kubernetes.Clientset
	namespace string
	arguments []string
}

type verb func(context.Context, *world) error

var verbs = map[string]verb{
	"apply": apply, "evict": evict, "exec": execute, "forward": forward, "informer": inform, "lead": lead,
	"logs": logs, "objects": objects, "pages": pages, "scale": scale, "custom": custom,
}

func main() {
	var protobuf, show bool
	var namespace string
	flag.BoolVar(&protobuf, "protobuf", false, "speak protobuf rather than JSON")
	flag.BoolVar(&show, "show", false, "print each request with the answer's status and form")
	flag.StringVar(&namespace, "namespace", "default", "where to work")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		fail(err)
	}
	config.ContentType = runtime.ContentTypeJSON
	if protobuf {
		config.ContentType = runtime.ContentTypeProtobuf
	}
	if show {
		config.Wrap(func(inner http.RoundTripper) http.RoundTripper { return &shown{inner: inner} })
	}
	config.QPS = -1 // the server is what is tested, not the client's own limit
	set, err := kubernetes.NewForConfig(config)
	if err != nil {
		fail(err)
	}
	run, known := verbs[flag.Arg(0)]
	if !known {
		fail(fmt.Errorf("no verb %q", flag.Arg(0)))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := run(ctx, &world{config, set, namespace, flag.Args()[1:]}); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "error:", err)
	os.Exit(1)
}

var printing sync.Mutex

// say prints a line at once: informers and elections print from several goroutines.
func say(format string, values ...any) {
	printing.Lock()
	defer printing.Unlock()
	fmt.Printf(format+"\n", values...)
}

// shown is a transport that prints what passes through it.
type shown struct{ inner http.RoundTripper }

func (s *shown) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := s.inner.RoundTrip(request)
	if err == nil {
		say("# %s %s %d %s", request.Method, request.URL.RequestURI(), response.StatusCode, response.Header.Get("Content-Type"))
	}
	return response, err
}
