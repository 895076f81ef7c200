declare const timers: Map<any, any>;
