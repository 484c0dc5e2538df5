from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.static import serve

import hashlib

from shop.settings import HERE

finished = []  # the parameter `tell` of each stream whose response was closed


def index(request):
    return render(request, "index.html", {"words": ["<one>", "two"]})


def visits(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse({"visits": request.session["visits"]})


def stream(request):
    response = StreamingHttpResponse((f"line {i}\n" for i in range(int(request.GET["lines"]))),
                                     content_type="text/plain")
    response._resource_closers.append(lambda: finished.append(request.GET.get("tell")))
    return response


@csrf_exempt
def upload(request):
    file = request.FILES["file"]
    digest = hashlib.sha256()
    for part in file.chunks():
        digest.update(part)
    return JsonResponse({"name": file.name, "size": file.size, "sha256": digest.hexdigest(),
                         "note": request.POST.get("note"), "on disk": hasattr(file, "temporary_file_path")})


def echo(request):
    return HttpResponse(request.body, content_type="application/octet-stream")


def download(request):
    return FileResponse(open(HERE / "urls.py", "rb"), as_attachment=True)


def form(request):
    return HttpResponse("posted")  # the CSRF check comes before


def fails(request):
    raise ValueError("deep in a view")


urlpatterns = [
    path("", index), path("visits", visits), path("stream", stream), path("upload", upload),
    path("echo", csrf_exempt(echo)), path("download", download), path("form", form), path("fails", fails),
    path("moved", lambda request: redirect("/")),
    path("slash/", lambda request: HttpResponse("slashed")),
    path("finished", lambda request: JsonResponse({"finished": finished.count("me")})),
    path("static/<path:path>", serve, {"document_root": HERE / "static"}),
]
