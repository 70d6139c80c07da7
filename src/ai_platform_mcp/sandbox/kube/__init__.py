"""The Kubernetes face of the sandbox: an API server over one small world, each module one rule of Kubernetes.

Here: what an API server does (storage, versions, validation, patches, ownership, watches, discovery, access). Not here:
what controllers do to bring objects to life (pods that run, queues that admit), which use `store.Store` in process, and
the running of the server itself. If kube-apiserver would do it, it belongs here; `limits` names what is left out.
"""
