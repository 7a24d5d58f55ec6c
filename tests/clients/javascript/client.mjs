// What programs written with the JavaScript client do, one verb each: `node client.mjs VERB NAMESPACE …`.
// tests/clients/test_javascript.py runs them and reads what they print: one line for each thing that happened.
import { PassThrough, Readable, Writable } from 'node:stream';
import * as k8s from '@kubernetes/client-node';

const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const [verb, namespace, ...rest] = process.argv.slice(2);
const say = (...words) => console.log(...words);

// Gathers what is written to it.
const sink = () => {
    const parts = [];
    const stream = new Writable({ write(chunk, _, done) { parts.push(chunk); done(); } });
    return [stream, () => Buffer.concat(parts).toString()];
};

const verbs = {
    // A ConfigMap in every way there is, watched from before it was there.
    async objects() {
        const path = `/api/v1/namespaces/${namespace}/configmaps`;
        const { metadata } = await core.listNamespacedConfigMap({ namespace });
        const ended = Promise.withResolvers();
        const query = { resourceVersion: metadata.resourceVersion, allowWatchBookmarks: true };
        const watched = await new k8s.Watch(config).watch(path, query, (kind, thing) => {
            if (thing.metadata.name !== 'js') return;
            say(kind, Object.keys(thing.data).join(','));
            if (kind === 'DELETED') ended.resolve();
        }, (error) => ended.reject(error ?? new Error('the watch ended')));
        await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'js' }, data: { a: '1' } } });
        const change = (strategy, body) =>
            core.patchNamespacedConfigMap({ namespace, name: 'js', body }, k8s.setHeaderOptions('Content-Type', strategy));
        await change(k8s.PatchStrategy.MergePatch, { data: { merge: 'yes' } });
        await change(k8s.PatchStrategy.StrategicMergePatch, { data: { strategic: 'yes' } });
        await change(k8s.PatchStrategy.JsonPatch, [{ op: 'add', path: '/data/json', value: 'yes' }]);
        const body = await core.readNamespacedConfigMap({ namespace, name: 'js' });
        await core.replaceNamespacedConfigMap({ namespace, name: 'js', body: { ...body, data: { replaced: 'yes' } } });
        await core.deleteNamespacedConfigMap({ namespace, name: 'js' });
        await ended.promise.finally(() => watched.abort());
        await core.readNamespacedConfigMap({ namespace, name: 'js' }).catch((error) => {
            say('refused', error.code, JSON.parse(error.body).reason);
        });
    },

    // Objects of any kind, server-side apply among it.
    async apply() {
        const client = k8s.KubernetesObjectApi.makeApiClient(config);
        const wanted = (replicas) => ({
            apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'js-applied', namespace },
            spec: {
                replicas, selector: { matchLabels: { app: 'js' } },
                template: {
                    metadata: { labels: { app: 'js' } },
                    spec: { containers: [{ name: 'c', image: 'busybox:1.35', command: ['sleep', 'infinity'] }] },
                },
            },
        });
        const applied = (replicas, manager, force) => client.patch(
            wanted(replicas), undefined, undefined, manager, force, k8s.PatchStrategy.ServerSideApply);
        await applied(0, 'first', false);
        await applied(1, 'second', false).catch((error) => say('refused', error.code, JSON.parse(error.body).message));
        say('replicas', (await applied(1, 'second', true)).spec.replicas);
        await client.delete(wanted(0));
    },

    async informer() {
        const list = () => core.listNamespacedConfigMap({ namespace });
        const informer = k8s.makeInformer(config, `/api/v1/namespaces/${namespace}/configmaps`, list);
        informer.on('add', (thing) => say('add', thing.metadata.name));
        informer.on('update', (thing) => say('update', thing.metadata.name, JSON.stringify(thing.data)));
        informer.on('delete', (thing) => say('delete', thing.metadata.name));
        informer.on('error', (error) => {
            say('error', error.code ?? error.message);
            setTimeout(() => informer.start(), 500);
        });
        await informer.start();
        say('synced');
    },

    async exec() {
        const [pod, input, ...command] = rest;
        const [out, said] = sink();
        const [err, complained] = sink();
        const ended = Promise.withResolvers();
        const stdin = input ? Readable.from([input]) : null;
        await new k8s.Exec(config).exec(namespace, pod, '', command, out, err, stdin, false, ended.resolve);
        const status = await ended.promise;
        say(JSON.stringify([said(), complained(), status.status, status.details?.causes?.[0]?.message ?? '']));
    },

    async logs() {
        const stream = new PassThrough();
        await new k8s.Log(config).log(namespace, rest[0], '', stream, { follow: true });
        let text = '';
        for await (const chunk of stream) {
            text += chunk;
            const lines = text.split('\n');
            text = lines.pop();
            lines.forEach((line) => say('log', line));
        }
    },

    async forward() {
        const [out, said] = sink();
        const [err, complained] = sink();
        const input = new PassThrough();
        const socket = await new k8s.PortForward(config).portForward(namespace, rest[0], [Number(rest[1])], out, err, input);
        const closed = new Promise((resolve) => socket.on('close', resolve));
        input.write('GET / HTTP/1.0\r\n\r\n');
        await closed;
        say(JSON.stringify([said().split('\r\n\r\n')[1], complained()]));
    },

    // The client has no election; one on a Lease takes its calls: only who replaces the version he has read leads.
    async lead() {
        const client = config.makeApiClient(k8s.CoordinationV1Api);
        const [identity, seconds] = [rest[0], 4];
        const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
        let [leading, seen, since] = [false, '', 0];
        for (;; await pause(500)) {
            const now = new k8s.V1MicroTime();
            const spec = { holderIdentity: identity, leaseDurationSeconds: seconds, renewTime: now };
            try {
                const lease = await client.readNamespacedLease({ namespace, name: 'js-election' });
                if (lease.metadata.resourceVersion !== seen) [seen, since] = [lease.metadata.resourceVersion, Date.now()];
                const other = lease.spec.holderIdentity !== identity;
                if (other && Date.now() - since < seconds * 1000) {
                    say(`${identity} sees ${lease.spec.holderIdentity}`);
                    continue;
                }
                const transitions = (lease.spec.leaseTransitions ?? 0) + (other ? 1 : 0);
                const body = { ...lease, spec: { ...spec, leaseTransitions: transitions } };
                await client.replaceNamespacedLease({ namespace, name: 'js-election', body });
            } catch (error) {
                if (error.code === 409) continue;
                if (error.code !== 404) throw error;
                await client.createNamespacedLease({ namespace, body: { metadata: { name: 'js-election' }, spec } });
            }
            if (!leading) say(`${identity} leads`);
            leading = true;
        }
    },
};

await verbs[verb]();
