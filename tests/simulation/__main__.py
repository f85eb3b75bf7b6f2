import sys, time
from tests.simulation import patches
from tests.simulation.decisions import Decisions
from tests.simulation.scenario import at_random
from tests.simulation.run_one import play
with patches.virtual():
    t=time.process_time(); n=int(sys.argv[2]); first=int(sys.argv[1]); pushes=0; steps=0
    from collections import Counter
    c=Counter()
    for seed in range(first, first+n):
        sc=at_random(seed)
        o=play(sc, Decisions(seed, sc.swarm), verbose=len(sys.argv)>3)
        pushes+=len(sc.pushes); steps+=o.steps
        for v in o.violations: c[v.rule]+=1
        if o.violations:
            print(seed, sc)
            for l in (o.trace.lines if len(sys.argv)>3 else []): print(l)
            for v in o.violations: print("   ", v)
    dt=time.process_time()-t
    print(n,"runs",pushes,"pushes",steps,"steps",f"{dt:.1f}s", f"{pushes/dt*60:.0f} pushes/min", c)
