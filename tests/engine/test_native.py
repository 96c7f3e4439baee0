"""Assembly to functions: made once, kept alive, safe from several threads, refused where it is wrong."""

import ctypes
import gc
import threading

import pytest

native = pytest.importorskip("gradstep.engine.cpu.native")
llvmlite = pytest.importorskip("llvmlite")

ADDING = """
target triple = "{triple}"
define void @add(i64 %a, i64 %b, i64 %out) {{
  %p = inttoptr i64 %out to i64*
  %sum = add i64 %a, %b
  %more = add i64 %sum, {more}
  store i64 %more, i64* %p
  ret void
}}
"""


@pytest.fixture(autouse=True)
def no_files(monkeypatch):
    monkeypatch.setenv("GRADSTEP_CACHE_DIR", "")


def adding(more=0):
    return ADDING.format(triple=native.triple(), more=more)


def call(function, a, b):
    out = ctypes.c_int64()
    function(a, b, ctypes.addressof(out))
    return out.value


def test_a_function():
    assert call(native.kernel(adding()).function("add", 3), 2, 40) == 42
    assert call(native.kernel(adding()).function("add", 3), -(2**62), 1) == -(2**62) + 1


def test_made_once():
    assert native.kernel(adding(1)) is native.kernel(adding(1))
    assert native.kernel(adding(1)) is not native.kernel(adding(2))


def test_two_modules_with_one_name_do_not_meet():
    functions = [native.kernel(adding(k)).function("add", 3) for k in range(5)]
    assert [call(f, 1, 1) for f in functions] == [2, 3, 4, 5, 6]


def test_the_function_keeps_its_code():
    function = native.Kernel(adding(7)).function("add", 3)  # nobody else holds this kernel
    gc.collect()
    assert call(function, 1, 1) == 9


def test_from_several_threads():
    found, barrier = {}, threading.Barrier(8)

    def work(k):
        barrier.wait()
        found[k] = call(native.kernel(adding(100 + k % 3)).function("add", 3), k, k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == {k: 2 * k + 100 + k % 3 for k in range(8)}


def test_wrong_assembly_is_an_error_and_locks_nothing():
    with pytest.raises(RuntimeError):
        native.kernel("define void @broken( {")
    assert call(native.kernel(adding(3)).function("add", 3), 0, 0) == 3


def test_the_key_knows_cpu_features_and_versions(monkeypatch):
    keys = []
    monkeypatch.setattr(native.kernel_cache, "key_of", lambda *parts: keys.append(parts) or "k")
    native.Kernel(adding(50))
    (parts,) = keys
    assert parts[0] == adding(50)
    assert native.cpu() in parts
    assert llvmlite.__version__ in parts
    assert len(parts) == 6
