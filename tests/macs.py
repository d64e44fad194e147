"""Lines of `sysctl hw machdep.cpu` on three Macs, put together from public recordings."""

M1 = """\
hw.ncpu: 8
hw.perflevel0.physicalcpu: 4
hw.perflevel0.logicalcpu: 4
hw.perflevel0.name: Performance
hw.perflevel1.physicalcpu: 4
hw.perflevel1.logicalcpu: 4
hw.perflevel1.name: Efficiency
hw.nperflevels: 2
hw.optional.arm.FEAT_FHM: 1
hw.optional.arm.FEAT_DotProd: 1
hw.optional.arm.FEAT_SHA3: 1
hw.optional.arm.FEAT_BF16: 0
hw.optional.arm.FEAT_I8MM: 0
hw.optional.arm.FEAT_FP16: 1
hw.optional.floatingpoint: 1
hw.optional.neon: 1
hw.optional.watchpoint: 4
hw.optional.AdvSIMD: 1
hw.optional.arm64: 1
machdep.cpu.cores_per_package: 8
machdep.cpu.brand_string: Apple M1
"""
M3 = """\
hw.ncpu: 8
hw.perflevel0.logicalcpu: 4
hw.perflevel0.name: Performance
hw.perflevel1.logicalcpu: 4
hw.perflevel1.name: Efficiency
hw.nperflevels: 2
hw.optional.arm.FEAT_DotProd: 1
hw.optional.arm.FEAT_BF16: 1
hw.optional.arm.FEAT_I8MM: 1
hw.optional.arm.FEAT_WFxT: 0
hw.optional.arm.FEAT_SME: 0
hw.optional.neon: 1
hw.optional.AdvSIMD: 1
hw.optional.arm64: 1
machdep.cpu.brand_string: Apple M3
"""
INTEL = """\
hw.ncpu: 4
hw.optional.avx1_0: 1
hw.optional.avx2_0: 1
machdep.cpu.brand_string: Intel(R) Core(TM) i5-5250U CPU @ 1.60GHz
machdep.cpu.feature_bits: 9221959987971750911
machdep.cpu.features: FPU VME DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT PSE36 CLFSH DS ACPI MMX FXSR SSE SSE2 SS HTT TM PBE SSE3 PCLMULQDQ DTES64 MON DSCPL VMX EST TM2 SSSE3 FMA CX16 TPR PDCM SSE4.1 SSE4.2 x2APIC MOVBE POPCNT AES PCID XSAVE OSXSAVE SEGLIM64 TSCTMR AVX1.0 RDRAND F16C
machdep.cpu.leaf7_features: RDWRFSGS TSC_THREAD_OFFSET BMI1 AVX2 SMEP BMI2 ERMS INVPCID FPU_CSDS RDSEED ADX SMAP IPT MDCLEAR IBRS STIBP L1DF SSBD
machdep.cpu.extfeatures: SYSCALL XD 1GBPAGE EM64T LAHF LZCNT PREFETCHW RDTSCP TSCI
machdep.cpu.cores_per_package: 8
"""  # noqa: E501
