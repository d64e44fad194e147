"""C and Python agree, or the kernels are refused."""

import ctypes

import pytest

from minikin.engine.native.contract import CONSTANTS, STRUCTS, ContractBroken, compare
from minikin.engine.native.kernels import Kernels


def doctored(struct, fields):
    return type(struct.__name__, (ctypes.Structure,), {"_fields_": tuple(fields)})


def test_all_sets_agree_with_python(kernels):
    compare(kernels.library)


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_constant_that_differs_is_named(plain, name):
    other = CONSTANTS | {name: CONSTANTS[name] + 1}
    with pytest.raises(ContractBroken, match=f"constant {name} is {other[name]} in contract.py"):
        compare(plain.library, constants=other)


@pytest.mark.parametrize("name", STRUCTS)
def test_fields_that_are_swapped_are_named(plain, name):
    first, second, *rest = STRUCTS[name]._fields_
    swapped = doctored(STRUCTS[name], (second, first, *rest))
    with pytest.raises(ContractBroken, match=f"offset of {second[0]} in struct {name} is 0 "):
        compare(plain.library, structs=STRUCTS | {name: swapped})


@pytest.mark.parametrize("name", STRUCTS)
def test_a_field_that_one_side_lacks_is_named(plain, name):
    fields = STRUCTS[name]._fields_
    shorter = doctored(STRUCTS[name], fields[:-1])
    with pytest.raises(ContractBroken, match=f"size of struct {name} is"):
        compare(plain.library, structs=STRUCTS | {name: shorter})
    longer = doctored(STRUCTS[name], (*fields, ("more", ctypes.c_int64)))
    with pytest.raises(ContractBroken, match=f"offset of more in struct {name} is .* but None"):
        compare(plain.library, structs=STRUCTS | {name: longer})


def test_a_struct_that_python_lacks_is_named(plain):
    structs = {name: struct for name, struct in STRUCTS.items() if name != "room"}
    with pytest.raises(ContractBroken, match=r"struct room is None in contract\.py"):
        compare(plain.library, structs=structs)


def test_kernels_that_disagree_are_refused(plain, monkeypatch):
    monkeypatch.setitem(CONSTANTS, "GROUP", 64)
    with pytest.raises(ContractBroken):
        Kernels(plain.library, threads=1)
