/** Tests which names the stand-ins for the libraries of a plugin have. */
import { expect, it } from 'vitest';
import { importsIn } from '../../../trainer/engine/install/stand-ins.ts';

const dynamic = `
 0x0000000000000001 (NEEDED)             Shared library: [librccl.so.1]
 0x0000000000000001 (NEEDED)             Shared library: [libamdhip64.so.7]
 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]
 0x0000000000000001 (NEEDED)             Shared library: [libstdc++.so.6]
 0x0000000000000001 (NEEDED)             Shared library: [ld-linux-x86-64.so.2]
 0x000000000000001d (RUNPATH)            Library runpath: [$ORIGIN/../rocm/lib]
`;
const names = `
                 U hipMalloc@hip_4.2
                 U ncclAllReduce
                 U malloc@GLIBC_2.2.5
                 U _ZNSt7__cxx1112basic_stringE@GLIBCXX_3.4.21
                 U _ZNKSt10filesystem4path5emptyEv
                 U _ZN13hipblaslt_ext10GemmInputsC1Ev
                 w __gmon_start__
`;

it('those that a plugin imports from libraries other than those of the system', () => {
  expect(importsIn(dynamic, names)).toEqual({
    libraries: ['librccl.so.1', 'libamdhip64.so.7'],
    functions: [{ name: 'hipMalloc', version: 'hip_4.2' }, { name: 'ncclAllReduce' }, { name: '_ZN13hipblaslt_ext10GemmInputsC1Ev' }],
  });
});
